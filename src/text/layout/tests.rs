use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::*;
use crate::text::arbitrary::{NEARLY_JSON, changed_json, json, spaced, spaces};

/// What a node says that it is, with nothing but objects and lists in lists.
fn tree(node: Node<'_>) -> Value {
    match node.kind() {
        NodeKind::Object => {
            let members = node.as_object().unwrap().members();
            let pairs = members.map(|member| (member.name().into_owned(), tree(member)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        NodeKind::List => node.inner().map(tree).collect(),
        _ => serde_json::from_str(node.written()).unwrap(),
    }
}

const fn is_container(value: &Value) -> bool {
    matches!(value, Value::Object(_) | Value::Array(_))
}

fn without_plain_elements(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (name, without_plain_elements(value)));
            Value::Object(members.collect())
        }
        Value::Array(elements) => {
            let elements = elements.into_iter().filter(is_container);
            elements.map(without_plain_elements).collect()
        }
        plain => plain,
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

#[track_caller]
fn names(text: &str) -> Vec<String> {
    let layout = Layout::of(text).unwrap();
    let members = layout.object(text).unwrap().members();
    members.map(|member| member.name().into_owned()).collect()
}

#[test]
fn a_value_is_all_of_a_text() {
    for text in [
        "",
        "{} {}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":\"\u{1}\"}",
        "{1:2}",
        "1 2",
    ] {
        assert!(Layout::of(text).is_none(), "{text}");
    }
    for text in ["[]", "null", " 1 ", "\"{}\"", "[{}]"] {
        assert!(Layout::of(text).unwrap().object(text).is_none(), "{text}");
    }
    assert_eq!(names(" {\"a\":1,\n\"\\u0062\":2,\"a\":3} "), ["a", "b", "a"]);
    assert_eq!(names("{\"\\ud800\":1}"), ["\\ud800"], "as it is written");
}

#[test]
fn the_last_of_a_name_is_found_however_it_is_escaped() {
    let text = r#"{"a":1,"\u0061":[2],"ab":3,"b":"\u0063"}"#;
    let layout = Layout::of(text).unwrap();
    let object = layout.object(text).unwrap();
    assert_eq!(object.member("a").unwrap().written(), "[2]");
    assert!(object.member("b").unwrap().is_string("c"));
    assert!(object.member("").is_none() && object.member("abc").is_none());
}

#[test]
fn of_plain_elements_the_kinds_are_known() {
    let text = r#"[1, "a", {} , [ ], {"a":[true, 1e0, null]}]"#;
    let layout = Layout::of(text).unwrap();
    let root = layout.root(text).unwrap();
    let kinds = |node: Node<'_>| -> Vec<NodeKind> {
        let kinds = node.plain_kinds();
        NodeKind::ALL
            .into_iter()
            .filter(|kind| kinds.has(*kind))
            .collect()
    };
    assert_eq!(kinds(root), [NodeKind::String, NodeKind::Integer]);
    assert_eq!(root.inner().count(), 3);
    let inner = root.objects().unwrap().last().unwrap().member("a").unwrap();
    assert_eq!(
        kinds(inner),
        [NodeKind::Number, NodeKind::Boolean, NodeKind::Null]
    );
    assert_eq!(inner.inner().count(), 0);
}

#[test]
fn nothing_is_too_deep() {
    let depth = 1_000_000;
    let text = "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(Layout::of(&text).unwrap().entries.len(), depth);
    assert!(Layout::of(text.get(1..).unwrap()).is_none());
    assert!(Layout::of(&"{\"a\":".repeat(depth)).is_none());
}

#[test]
fn a_hostile_text_takes_twelve_times_its_size_at_most() {
    let many = |unit: &str| format!("[{}0]", format!("{unit},").repeat(10_000));
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    for (text, count) in [
        (many("[0]"), 10_001),
        (many("0"), 1),
        (many("[]"), 10_001),
        (many("{\"\":0}"), 20_001),
        (deep, 10_000),
    ] {
        let entries = Layout::of(&text).unwrap().entries.len();
        assert_eq!(entries, count);
        assert!(entries * size_of::<Entry>() <= 12 * text.len());
    }
}

proptest! {
    #[test]
    fn what_is_read_is_what_is_written(value in json(), spaces in spaces()) {
        let text = spaced(&value, &mut spaces.into_iter().cycle());
        let layout = Layout::of(&text).unwrap();
        let root = layout.root(&text).unwrap();
        prop_assert_eq!(root.written(), text.trim_ascii());
        prop_assert_eq!(tree(root), without_plain_elements(value));
    }

    #[test]
    fn a_text_that_is_changed_anywhere_is_judged_as_others_do(text in changed_json()) {
        prop_assert_eq!(Layout::of(&text).is_some(), is_json(&text), "{}", text);
    }

    #[test]
    fn any_text_is_judged_as_others_do(text in NEARLY_JSON) {
        prop_assert_eq!(Layout::of(&text).is_some(), is_json(&text), "{}", text);
    }

    #[test]
    fn random_text_never_panics(text in any::<String>(), other in any::<String>()) {
        if let Some(object) = Layout::of(&text).as_ref().and_then(|layout| layout.object(&other)) {
            let _ = object.member(&text);
        }
    }
}
