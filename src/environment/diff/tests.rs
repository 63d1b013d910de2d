use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const STAMP: Option<&str> = Some("envgate:tenant");

fn diff_of(before: &Value, after: &Value) -> Value {
    let (before, after) = (before.to_string(), after.to_string());
    let diff = diff(
        State::Read(before.as_bytes()),
        State::Read(after.as_bytes()),
        STAMP,
    );
    json_of(diff).unwrap()
}

fn json_of(diff: Option<Difference>) -> Option<Value> {
    diff.map(|diff| serde_json::from_str(diff.as_str()).unwrap())
}

#[test]
fn what_is_new_is_added_as_a_whole_and_what_is_gone_is_shown_as_it_was() {
    let environment = br#"{"id":"env_1","metadata":{"team":"red","envgate:tenant":"ten_1"}}"#;
    let shown = json!({"id": "env_1", "metadata": {"team": "***"}});
    let read = State::Read(environment);
    assert_eq!(
        json_of(diff(State::Absent, read, STAMP)),
        Some(json!([{"op": "add", "path": "", "value": shown}]))
    );
    assert_eq!(
        json_of(diff(State::Unknown, read, STAMP)),
        Some(json!([{"op": "replace", "path": "", "value": shown}]))
    );
    assert_eq!(
        json_of(diff(read, State::Absent, STAMP)),
        Some(json!([{"op": "test", "path": "", "value": shown}, {"op": "remove", "path": ""}]))
    );
}

#[test]
fn where_too_little_is_known_there_is_no_difference() {
    let read = State::Read(br#"{"id":"env_1"}"#);
    for (before, after) in [
        (State::Unknown, State::Unknown),
        (read, State::Unknown),
        (State::Unknown, State::Absent),
        (State::Absent, State::Read(b"[1]")),
        (State::Absent, State::Read(b"not JSON")),
    ] {
        assert_eq!(diff(before, after, STAMP), None, "{before:?} {after:?}");
    }
}

#[test]
fn a_change_of_metadata_shows_its_name_and_no_value() {
    let before = json!({"metadata": {"kept": "secret0", "a/b": "secret1", "gone": "secret2"}});
    let after = json!({"metadata": {"kept": "secret0", "a/b": "secret3", "new": {"deep": "secret4"}}});
    let diff = diff_of(&before, &after);
    assert_eq!(
        diff,
        json!([
            {"op": "test", "path": "/metadata/a~1b", "value": "***"},
            {"op": "replace", "path": "/metadata/a~1b", "value": "***"},
            {"op": "add", "path": "/metadata/new", "value": "***"},
            {"op": "test", "path": "/metadata/gone", "value": "***"},
            {"op": "remove", "path": "/metadata/gone"},
        ])
    );
    let whole = diff_of(&json!({}), &json!({"metadata": {"k": "secret"}}));
    assert_eq!(
        whole,
        json!([{"op": "add", "path": "/metadata", "value": {"k": "***"}}])
    );
    let odd = diff_of(&json!({"metadata": "secret"}), &json!({"metadata": null}));
    assert!(!odd.to_string().contains("secret"), "{odd}");
}

#[test]
fn metadata_that_is_no_map_is_masked_too() {
    let odd = [
        (r#"["s3cret"]"#, json!("***")),
        (r#""s3cret""#, json!("***")),
        ("7", json!("***")),
        ("null", Value::Null),
        (
            r#"{"k":{"envgate:tenant":"s3cret"},"envgate:tenant":1}"#,
            json!({"k": "***"}),
        ),
    ];
    for (metadata, shown) in odd {
        // With and without something that has to be looked at more closely.
        for name in ["n", "@"] {
            let document = format!(r#"{{"name":"{name}","metadata":{metadata}}}"#);
            let diff = diff(State::Absent, State::Read(document.as_bytes()), STAMP);
            assert_eq!(
                json_of(diff).unwrap()[0]["value"]["metadata"],
                shown,
                "{metadata}"
            );
        }
    }
}

#[test]
fn only_the_top_level_metadata_is_masked() {
    let diff = diff_of(&json!({}), &json!({"config": {"metadata": {"k": "shown"}}}));
    assert!(diff.to_string().contains("shown"), "{diff}");
}

#[test]
fn elements_of_a_list_are_shown_as_they_were() {
    let list = |entries: &[&str]| json!({"config": {"packages": {"pip": entries}}});
    assert_eq!(
        diff_of(&list(&["a", "b", "c"]), &list(&["x"])),
        json!([
            {"op": "test", "path": "/config/packages/pip/0", "value": "a"},
            {"op": "replace", "path": "/config/packages/pip/0", "value": "x"},
            {"op": "test", "path": "/config/packages/pip/1", "value": "b"},
            {"op": "remove", "path": "/config/packages/pip/1"},
            {"op": "test", "path": "/config/packages/pip/1", "value": "c"},
            {"op": "remove", "path": "/config/packages/pip/1"},
        ])
    );
}

#[test]
fn user_info_is_masked_in_whatever_looks_like_a_url() {
    for (text, shown) in [
        ("https://user:hunter2@host/x", "https://***@host/x"),
        (
            "git+https://hunter2@github.com/a/b.git@v1.0",
            "git+https://***@github.com/a/b.git@v1.0",
        ),
        (
            "pkg @ https://u:hunter2@host/p.whl and http://u:hunter2@b",
            "pkg @ https://***@host/p.whl and http://***@b",
        ),
        ("//u:hunter2@host", "//***@host"),
        ("https://u:hun@ter2@host:80/", "https://***@host:80/"),
        ("https://u:hun/ter2@host/x", "https://***@host/x"),
    ] {
        assert_eq!(without_user_info(text), shown);
    }
    for text in [
        "pandas==2.0",
        "@scope/name@1.0",
        "https://host:8080/a@1.0",
        "https://[::1]/a@1.0",
        "https://host/a?b=c@d",
        "user@host",
        "a//b",
    ] {
        assert_eq!(without_user_info(text), text);
    }
    let nested = diff_of(&json!({}), &json!({"new": [{"url": "https://u:hunter2@h"}]}));
    assert!(!nested.to_string().contains("hunter2"), "{nested}");
}

#[test]
fn a_difference_that_is_too_large_is_told_by_its_size() {
    let large = json!({"description": "x".repeat(MOST_BYTES)});
    let diff = diff_of(&json!({}), &large);
    let bytes = diff["omitted_bytes"].as_u64().unwrap();
    assert!(bytes > 16 * 1024, "{diff}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z/~]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z/~]{0,2}", inner, 0..4)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    /// The patch leads from one document to the other, so nothing that changed is left out, and every `test`
    /// is true.
    #[test]
    fn applied_to_what_was_the_difference_gives_what_is(before in any_json(), after in any_json()) {
        let (before, after) = (json!({"field": before}), json!({"field": after}));
        let patch = diff_of(&before, &after);
        prop_assume!(patch.is_array());
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        let mut document = before;
        json_patch::patch(&mut document, &patch).unwrap();
        prop_assert_eq!(document, after);
    }

    /// What is written while it is read is what a parsed copy would be, masked the same.
    #[test]
    fn a_document_alone_is_shown_as_a_change_of_all_of_it_would_be(document in any_json(), name in "[a@]") {
        let document = json!({"name": name, "config": document, "metadata": {"a": document, "envgate:tenant": "ten_1"}});
        let whole = |members: &[u8]| json_of(diff(State::Absent, State::Read(members), STAMP)).unwrap();
        let added = diff_of(&json!({}), &document);
        let mut expected = serde_json::Map::new();
        for operation in added.as_array().unwrap() {
            let name = operation["path"].as_str().unwrap().trim_start_matches('/').to_owned();
            expected.insert(name, operation["value"].clone());
        }
        let alone = whole(document.to_string().as_bytes());
        prop_assert_eq!(&alone[0]["value"], &Value::Object(expected));
    }

    #[test]
    fn no_value_of_the_metadata_is_ever_shown(
        before in prop::option::of(any_json()),
        after in prop::option::of(any_json()),
    ) {
        let wrap = |value: Option<Value>| value.map_or(json!({}), |value| json!({"metadata": {"key": value, "more": "s3cret"}}));
        let shown = diff_of(&wrap(before), &wrap(after)).to_string();
        prop_assert!(!shown.contains("s3cret"), "{}", shown);
    }
}
