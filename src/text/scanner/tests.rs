use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::text::arbitrary::{NEARLY_JSON, changed_json, json, spaced, spaces};

fn is_value(text: &str) -> bool {
    let object = format!("{{\"a\":{text}}}");
    Scanner::new(&object).object(|_| {}).is_some()
}

fn agrees(text: &str) -> bool {
    let object = format!("{{\"a\":{text}}}");
    let is_json = serde_json::from_str::<std::collections::BTreeMap<String, &RawValue>>(&object).is_ok();
    is_json == is_value(text)
}

#[test]
fn values_are_what_json_says() {
    for text in [
        "0",
        "-0",
        "1",
        "10",
        "1.5",
        "-1.50e+10",
        "1E5",
        "0e0",
        "1e-7",
        "true",
        "false",
        "null",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1 , [2,{\"a\" : [ ]}] ]",
        "\"\\u00e9\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\u{e9}\u{7f}\"",
    ] {
        assert!(is_value(text) && agrees(text), "{text}");
    }
    for text in [
        "",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "tru",
        "truex",
        "nul",
        "'a'",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123",
        "\"\n\"",
        "\"\u{0}\"",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "\u{feff}1",
    ] {
        assert!(!is_value(text) && agrees(text), "{text}");
    }
}

#[test]
fn a_quote_is_found_wherever_it_stands() {
    for length in 0..40 {
        for special in ['"', '\\', '\u{1f}', '\n'] {
            let text = format!("{}{special}{}", "\u{e9}a".repeat(length), "~".repeat(20));
            let expected = text.find(special).unwrap();
            assert_eq!(plain_bytes(text.as_bytes()), expected, "{text:?}");
        }
    }
}

#[test]
fn nothing_is_too_deep() {
    let depth = 1_000_000;
    assert!(is_value(&("[".repeat(depth) + &"]".repeat(depth))));
    assert!(!is_value(&"[".repeat(depth)));
}

proptest! {
    #[test]
    fn what_is_json_is_found_to_be(value in json(), spaces in spaces()) {
        let mut spaces = spaces.into_iter().cycle();
        prop_assert!(is_value(&spaced(&value, &mut spaces)));
    }

    #[test]
    fn a_text_that_is_changed_anywhere_is_judged_as_others_do(text in changed_json()) {
        prop_assert!(agrees(&text), "{}", text);
    }

    #[test]
    fn any_text_is_judged_as_others_do(text in NEARLY_JSON) {
        prop_assert!(agrees(&text), "{}", text);
    }
}
