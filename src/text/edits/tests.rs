use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::text::Layout;
use crate::text::arbitrary::{json, spaced, spaces};

fn without(text: &str, name: &str, added: &'static str) -> String {
    let layout = Layout::of(text).unwrap();
    let mut edits = Edits::default();
    edits.change(
        layout.object(text).unwrap(),
        |member| member.is_named(name),
        added,
    );
    edits.apply(text).unwrap_or_else(|| text.to_owned())
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
    let layout = Layout::of(text).unwrap();
    let root = layout.object(text).unwrap();
    let is_dropped = |member: &Node<'_>| member.is_named("drop");
    let mut edits = Edits::default();
    edits.replace(root.member("old").unwrap(), "[]");
    for element in root.member("list").unwrap().objects().unwrap() {
        edits.change(element, is_dropped, r#""new":1"#);
    }
    edits.change(root.member("in").unwrap().as_object().unwrap(), is_dropped, "");
    edits.change(root, is_dropped, "");
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

        let layout = Layout::of(&edited).unwrap();
        let object = layout.object(&edited).unwrap();
        let came: Vec<_> = object.members().map(|member| (member.name().into_owned(), member.written())).collect();
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
}
