use super::*;

/// A page of `count` environments: every third is the caller's, `gone` are not there.
fn page_text(count: usize, gone: &[usize], next: &str) -> String {
    let environments: Vec<String> = (0..count)
        .filter(|number| !gone.contains(number))
        .map(|number| format!(r#"{{"id":"env_{number}","own":{}}}"#, number.is_multiple_of(3)))
        .collect();
    format!(r#"{{"data":[{}],"next_page":{next}}}"#, environments.join(","))
}

fn read(text: &str) -> UpstreamPage<'_> {
    let is_own = |environment: &Object<'_>, _: &EnvironmentId| {
        environment.member("own").is_some_and(|own| own.value == "true")
    };
    UpstreamPage::read(text, is_own).unwrap()
}

fn ids(own: &[Own<'_>]) -> Vec<String> {
    own.iter().map(|own| own.id.to_string()).collect()
}

/// What the first page of two shows, and what the second does after `gone` were deleted between them.
fn two_pages(gone: &[usize]) -> (Vec<String>, Vec<String>) {
    let text = page_text(60, &[], "null");
    let before = read(&text);
    let (first, place) = before.take(&PagePosition::default(), 3);
    let text = page_text(60, gone, "null");
    let after = read(&text);
    let (second, _) = after.take(&place.unwrap(), 3);
    (ids(first), ids(second))
}

#[test]
fn a_page_is_of_the_callers_own_in_their_order() {
    let (first, second) = two_pages(&[]);
    assert_eq!(first, ["env_0", "env_3", "env_6"]);
    assert_eq!(second, ["env_9", "env_12", "env_15"]);
}

#[test]
fn what_was_shown_may_be_deleted_before_the_next_page() {
    let (_, second) = two_pages(&[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(second, ["env_9", "env_12", "env_15"]);
}

#[test]
fn where_the_next_ones_are_gone_too_the_list_goes_on_behind_them() {
    let (_, second) = two_pages(&[0, 3, 6, 9, 12]);
    assert_eq!(second, ["env_15", "env_18", "env_21"]);
    let (_, second) = two_pages(&[9, 12, 15, 18]);
    assert_eq!(
        second,
        ["env_21", "env_24", "env_27"],
        "after the last that was shown"
    );
}

#[test]
fn what_is_created_meanwhile_moves_nothing() {
    let text = page_text(30, &[], "null");
    let (_, place) = read(&text).take(&PagePosition::default(), 2);
    let grown = text.replacen("[{", r#"[{"id":"env_new","own":true},{"#, 1);
    let page = read(&grown);
    assert_eq!(ids(page.take(&place.unwrap(), 2).0), ["env_6", "env_9"]);
}

#[test]
fn without_any_of_those_it_names_a_cursor_falls_back_to_its_position() {
    let text = page_text(30, &[], "null");
    let (_, place) = read(&text).take(&PagePosition::default(), 2);
    let place = PagePosition {
        next: Vec::new(),
        last: None,
        ..place.unwrap()
    };
    assert_eq!(place.index, 6);
    assert_eq!(ids(read(&text).take(&place, 1).0), ["env_6"]);
}

#[test]
fn the_list_ends_where_nothing_of_the_callers_is_left() {
    let text = page_text(9, &[], "null");
    let page = read(&text);
    let (taken, next) = page.take(&PagePosition::default(), 3);
    assert_eq!((taken.len(), next), (3, None), "two of others' follow");
}

#[test]
fn the_next_upstream_page_begins_at_its_start() {
    let text = page_text(9, &[], r#""p\/2""#);
    let archived = PagePosition {
        include_archived: true,
        ..PagePosition::default()
    };
    let (_, next) = read(&text).take(&archived, 3);
    let next = next.unwrap();
    assert_eq!(next.upstream.as_deref(), Some("p/2"));
    assert!(next.next.is_empty() && next.last.is_none() && next.index == 0);
    assert_eq!(
        upstream_query(&next, true).to_query_string(),
        "include_archived=true&limit=1000&page=p%2F2&beta=true"
    );
}

#[test]
fn all_but_the_environments_and_the_cursor_stays_as_it_came() {
    let text = r#" {"first_id": 1e400, "data": [ ] , "next_page" : "theirs","x":{"data":[1]}} "#;
    assert_eq!(
        read(text).with(&["{ }".to_owned(), "{}".to_owned()], Some("ours".to_owned())),
        r#" {"first_id": 1e400, "data": [{ },{}] , "next_page" : "ours","x":{"data":[1]}} "#
    );
    assert_eq!(
        read(r#"{"data":[]}"#).with(&[], None),
        r#"{"data":[],"next_page":null}"#
    );
}

#[test]
fn what_is_no_page_is_not_read() {
    for text in ["", "[]", "{}", r#"{"data":{}}"#, r#"{"data":[],"next_page":1}"#] {
        assert!(UpstreamPage::read(text, |_, _| true).is_none(), "{text}");
    }
    let odd = r#"{"data":[1,{},{"id":2},{"id":"/"},{"id":"env_1"}]}"#;
    assert_eq!(ids(&UpstreamPage::read(odd, |_, _| true).unwrap().own), ["env_1"]);
}
