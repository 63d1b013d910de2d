use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::text::arbitrary::{json, spaced, spaces};

fn names(object: &Object<'_>) -> Vec<String> {
    object
        .members()
        .iter()
        .map(|member| member.name.to_string())
        .collect()
}

fn without(text: &str, name: &str, added: &'static str) -> String {
    let mut edits = Edits::default();
    edits.change(&Object::read(text).unwrap(), |member| member.name == name, added);
    edits.apply(text).unwrap_or_else(|| text.to_owned())
}

#[test]
fn an_object_is_all_of_a_text() {
    for text in [
        "",
        "[]",
        "null",
        "{} {}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":\"\u{1}\"}",
        "{1:2}",
    ] {
        assert!(Object::read(text).is_none(), "{text}");
    }
    assert_eq!(
        names(&Object::read(" {\"a\":1,\n\"\\u0062\":2,\"a\":3} ").unwrap()),
        ["a", "b", "a"]
    );
}

#[test]
fn a_member_is_removed_with_one_comma() {
    for (text, expected) in [
        (r#"{ "x" : 1 , "a" : 2 }"#, r#"{ "a" : 2 }"#),
        (r#"{ "a" : 2 , "x" : 1 }"#, r#"{ "a" : 2 }"#),
        (r#"{ "a":1, "x":[{"x":1}] , "b":2 }"#, r#"{ "a":1 , "b":2 }"#),
        (r#"{ "x":1, "\u0078":2 }"#, "{  }"),
        (
            r#"{"x":1,"a":{"x":1},"x":2,"b":2,"x":3,"x":4}"#,
            r#"{"a":{"x":1},"b":2}"#,
        ),
        (r#"{"a":1}"#, r#"{"a":1}"#),
    ] {
        assert_eq!(without(text, "x", ""), expected);
    }
}

#[test]
fn a_member_is_added_after_those_that_stay() {
    for (text, expected) in [
        ("{}", r#"{"n":0}"#),
        ("{ }", r#"{"n":0 }"#),
        (r#"{"x":1}"#, r#"{"n":0}"#),
        (r#"{"a":1 }"#, r#"{"a":1,"n":0 }"#),
        (r#"{"a":1,"x":1}"#, r#"{"a":1,"n":0}"#),
        (r#" {"x":1,"a":1} "#, r#" {"a":1,"n":0} "#),
    ] {
        assert_eq!(without(text, "x", r#""n":0"#), expected);
    }
}

#[test]
fn edits_of_nested_objects_are_applied_in_one_pass() {
    let text = r#"{"drop":1,"list":[{"drop":1},7,{"keep":1.50}],"in":{"drop":{}},"old":null}"#;
    let root = Object::read(text).unwrap();
    let is_dropped = |member: &Member<'_>| member.name == "drop";
    let mut edits = Edits::default();
    edits.replace(root.member("old").unwrap(), "[]");
    for element in root.objects_in(root.member("list").unwrap()).unwrap() {
        edits.change(&element, is_dropped, r#""new":1"#);
    }
    edits.change(
        &root.object_in(root.member("in").unwrap()).unwrap(),
        is_dropped,
        "",
    );
    edits.change(&root, is_dropped, "");
    assert_eq!(
        edits.apply(text).unwrap(),
        r#"{"list":[{"new":1},7,{"keep":1.50,"new":1}],"in":{},"old":[]}"#
    );
}

/// The members of an object as JSON writes them, some names twice or escaped.
fn members() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let name = prop::sample::select(vec![
        r#""a""#,
        r#""scope""#,
        r#""s\u0063ope""#,
        r#""Scope""#,
        r#""""#,
    ]);
    prop::collection::vec((name, json()), 0..7)
}

proptest! {
    #[test]
    fn what_is_not_removed_stays_byte_for_byte(
        members in members(),
        spaces in spaces(),
        added in prop::sample::select(vec!["", r#""new":[]"#]),
    ) {
        let mut spaces = spaces.into_iter().cycle();
        let members: Vec<(&str, String)> =
            members.iter().map(|(name, value)| (*name, spaced(value, &mut spaces))).collect();
        let written: Vec<_> = members.iter().map(|(name, value)| format!("{name} :{value}")).collect();
        let text = format!(" {{\n{}\t}} ", written.join(", "));

        let edited = without(&text, "scope", added);

        let object = Object::read(&edited).unwrap();
        let came: Vec<_> = object.members().iter().map(|member| (member.name.to_string(), member.value)).collect();
        let mut expected: Vec<_> = members
            .iter()
            .map(|(name, value)| (serde_json::from_str::<String>(name).unwrap(), value.trim_ascii()))
            .filter(|(name, _)| name != "scope")
            .collect();
        if !added.is_empty() {
            expected.push(("new".to_owned(), "[]"));
        }
        prop_assert_eq!(came, expected, "{} became {}", text, edited);
        let is_framed_as_before = edited.starts_with(" {") && edited.ends_with("} ");
        prop_assert!(is_framed_as_before);
    }

    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        let _ = Object::read(&text);
    }
}
