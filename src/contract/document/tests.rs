use proptest::prelude::*;

use super::*;
use crate::text::arbitrary::json;

#[track_caller]
fn fault(body: &[u8]) -> DocumentFault {
    parse_document(body).unwrap_err()
}

#[track_caller]
fn assert_place(fault: &DocumentFault, line: usize, column: usize, offset: usize) {
    assert_eq!(
        (fault.line, fault.column, fault.offset),
        (line, column, offset),
        "{fault:?}"
    );
}

#[test]
fn a_document_is_read_with_its_members_in_order() {
    let text = r#"{"b":[1,-2,3.5,true,null],"a":{"é":"\u00e9"}}"#;
    assert_eq!(
        parse_document(text.as_bytes()).unwrap().to_string(),
        r#"{"b":[1,-2,3.5,true,null],"a":{"é":"é"}}"#
    );
}

#[test]
fn a_body_that_is_no_object_is_still_a_document() {
    assert_eq!(parse_document(b" [] ").unwrap(), serde_json::json!([]));
    assert_eq!(parse_document(b"null").unwrap(), Value::Null);
}

#[test]
fn bytes_that_are_not_utf8_are_told_where_they_begin() {
    let fault = fault(b"{\"a\":\n \"\xff\"}");
    assert_eq!(fault.kind, DocumentFaultKind::InvalidUtf8);
    assert_place(&fault, 2, 3, 8);
}

#[test]
fn text_that_is_not_json_is_told_where_it_stops_being_so() {
    let missing_colon = fault(b"{\"a\"\n1}");
    assert_eq!(missing_colon.kind, DocumentFaultKind::InvalidJson);
    assert_eq!(missing_colon.message, "the body is not JSON: expected `:`");
    assert_place(&missing_colon, 2, 1, 5);
    assert_place(&fault(b"{\"a\":1"), 1, 7, 6);
    assert_place(&fault(b"{\"a\": tru3}"), 1, 10, 9);
    assert_place(&fault(b"{\"a\": \"x\ny\"}"), 1, 9, 8);
    assert_place(&fault(b"nope"), 1, 2, 1);
}

#[test]
fn an_empty_body_says_what_to_send() {
    for body in ["", "  \n"] {
        let fault = fault(body.as_bytes());
        assert_eq!(fault.kind, DocumentFaultKind::InvalidJson);
        assert!(fault.message.contains("empty"), "{}", fault.message);
    }
}

#[test]
fn a_byte_order_mark_is_named() {
    assert!(fault("\u{feff}{}".as_bytes()).message.contains("byte order mark"));
}

#[test]
fn a_name_that_stands_twice_is_told_where_it_stands_again() {
    let body = br#"{"a":{"x":"{\"q\":1"},"list":["a","b"],
 "pip":[],"p\u0069p":[]}"#;
    let fault = fault(body);
    assert_eq!(fault.kind, DocumentFaultKind::DuplicateKey);
    assert_eq!(fault.message, "\"pip\" stands twice in one object");
    assert_place(&fault, 2, 11, 50);
    assert!(body[fault.offset..].starts_with(br#""p\u0069p""#));
}

#[test]
fn the_same_name_in_two_objects_is_no_fault() {
    assert!(parse_document(br#"{"a":{"a":[{"a":1},{"a":2}]}}"#).is_ok());
}

#[test]
fn a_long_name_that_stands_twice_is_not_repeated() {
    let name = "n".repeat(65);
    let fault = fault(format!(r#"{{"{name}":1,"{name}":2}}"#).as_bytes());
    assert_eq!(
        fault.message,
        "a name of 65 characters stands twice in one object"
    );
}

#[test]
fn nesting_is_allowed_to_64_levels_and_told_at_the_65th() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse_document(nested(64).as_bytes()).is_ok());
    let deep = fault(nested(65).as_bytes());
    assert_eq!(deep.kind, DocumentFaultKind::NestingTooDeep);
    assert_place(&deep, 1, 65, 64);
    let mixed = format!(r#"{{"[[[":{}1{}}}"#, r#"{"a":["#.repeat(32), "]}".repeat(32));
    assert_eq!(fault(mixed.as_bytes()).kind, DocumentFaultKind::NestingTooDeep);
    assert_eq!(
        fault("[".repeat(1 << 20).as_bytes()).offset,
        64,
        "no recursion past the limit"
    );
}

#[test]
fn bytes_after_the_document_are_told_where_they_begin() {
    let fault = fault(b"{}\n {}");
    assert_eq!(fault.kind, DocumentFaultKind::TrailingBytes);
    assert_place(&fault, 2, 2, 4);
}

#[test]
fn no_message_repeats_a_value() {
    for body in [
        r#"{"metadata":{"k":"hunter2"},"x":hunter2}"#,
        r#"{"a":"hunter2","a":"hunter2"}"#,
        r#""hunter2"x"#,
    ] {
        assert!(!fault(body.as_bytes()).message.contains("hunter2"));
    }
}

/// Texts that are nearly JSON.
fn fragments() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"\\\\\"",
        "\"\\\"\"",
        "1",
        "-",
        "null",
        " ",
        "\n",
        "\"",
        "\\",
        "é",
    ]);
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn any_document_without_duplicates_reads_as_serde_json_reads_it(value in json()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let expected: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(parse_document(text.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn any_text_is_taken_or_refused_as_serde_json_does_but_for_duplicates(text in fragments()) {
        let expected = serde_json::from_str::<Value>(&text);
        match parse_document(text.as_bytes()) {
            Ok(value) => prop_assert_eq!(value, expected.unwrap()),
            Err(fault) => {
                prop_assert!(fault.offset <= text.len());
                let is_duplicate = fault.kind == DocumentFaultKind::DuplicateKey;
                prop_assert!(expected.is_err() || is_duplicate, "{:?}", fault);
                if is_duplicate {
                    prop_assert_eq!(&text[fault.offset..=fault.offset], "\"");
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse_document(&bytes);
    }
}
