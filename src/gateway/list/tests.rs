use super::*;

use crate::contract::{Layout, StampKey};

/// A page of `count` environments: every third is the caller's, `gone` are not there.
fn page_text(count: usize, gone: &[usize], next: &str) -> String {
    let environment = |number: usize| {
        let owner = if number.is_multiple_of(3) {
            "mine"
        } else {
            "theirs"
        };
        format!(r#"{{"id":"env_{number}","metadata":{{"envgate:tenant":"{owner}"}}}}"#)
    };
    let there = (0..count).filter(|number| !gone.contains(number));
    let environments: Vec<String> = there.map(environment).collect();
    format!(r#"{{"data":[{}],"next_page":{next}}}"#, environments.join(","))
}

/// The ids of at most `limit` from `place` on, and the place after them.
fn taken(page: &str, place: &PagePosition, limit: usize) -> (Vec<String>, Option<PagePosition>) {
    let layout = Layout::of(page).unwrap();
    let page = PageOutline::read(layout.object(page).unwrap(), &StampKey::default()).unwrap();
    let is_own = |listed: &&ListedEnvironment| listed.stamp.as_deref() == Some("mine");
    let own: Vec<_> = page.environments.iter().filter(is_own).collect();
    let (taken, next) = take(&page, &own, place, limit);
    (taken.iter().map(|own| own.id.to_string()).collect(), next)
}

/// What the first page of two shows, and what the second does after `gone` were deleted between them.
fn two_pages(gone: &[usize]) -> (Vec<String>, Vec<String>) {
    let (first, place) = taken(&page_text(60, &[], "null"), &PagePosition::default(), 3);
    let (second, _) = taken(&page_text(60, gone, "null"), &place.unwrap(), 3);
    (first, second)
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
    let (_, place) = taken(&text, &PagePosition::default(), 2);
    let grown = text.replacen(
        "[{",
        r#"[{"id":"env_new","metadata":{"envgate:tenant":"mine"}},{"#,
        1,
    );
    assert_eq!(taken(&grown, &place.unwrap(), 2).0, ["env_6", "env_9"]);
}

#[test]
fn without_any_of_those_it_names_a_cursor_falls_back_to_its_position() {
    let text = page_text(30, &[], "null");
    let (_, place) = taken(&text, &PagePosition::default(), 2);
    let place = PagePosition {
        next: Vec::new(),
        last: None,
        ..place.unwrap()
    };
    assert_eq!(place.index, 6);
    assert_eq!(taken(&text, &place, 1).0, ["env_6"]);
}

#[test]
fn the_list_ends_where_nothing_of_the_callers_is_left() {
    let text = page_text(9, &[], "null");
    let (taken, next) = taken(&text, &PagePosition::default(), 3);
    assert_eq!((taken.len(), next), (3, None), "two of others' follow");
}

#[test]
fn the_next_upstream_page_begins_at_its_start() {
    let text = page_text(9, &[], r#""p\/2""#);
    let archived = PagePosition {
        include_archived: true,
        ..PagePosition::default()
    };
    let (_, next) = taken(&text, &archived, 3);
    let next = next.unwrap();
    assert_eq!(next.upstream.as_deref(), Some("p/2"));
    assert!(next.next.is_empty() && next.last.is_none() && next.index == 0);
    assert_eq!(
        upstream_query(&next, true).to_query_string(),
        "include_archived=true&limit=1000&page=p%2F2&beta=true"
    );
}
