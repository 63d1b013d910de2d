use http::{HeaderValue, StatusCode};

use super::*;

const KEY: &str = "sk-ant-api03-Zm9v/Ymal+_-x";

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// Each character as `\u00XX`.
fn in_json_escapes(text: &str) -> String {
    text.bytes().map(|byte| format!("\\u{byte:04x}")).collect()
}

/// Each character as `%XX`.
fn in_percent_escapes(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn cleaned(status: u16, body: &str) -> String {
    let cleaned = Redaction::new(KEY).clean(reply(status, body));
    String::from_utf8(cleaned.body.to_vec()).unwrap()
}

#[test]
fn the_credential_is_masked_in_every_body_as_it_is_and_as_json_spells_it() {
    let spellings = [
        KEY.to_owned(),
        in_json_escapes(KEY),
        KEY.replace('-', "\\u002d"),
        KEY.replace('-', "\\u002D").replace('/', "\\/"),
    ];
    for spelled in spellings {
        for status in [200, 400, 500] {
            let body = format!(r#"{{"a":"\\u00e4 <{spelled}> \\","b":"{spelled}"}}"#);
            let expected = r#"{"a":"\\u00e4 <[credential]> \\","b":"[credential]"}"#;
            assert_eq!(cleaned(status, &body), expected, "{status} {spelled}");
        }
    }
}

#[test]
fn an_error_that_tells_it_behind_more_escapes_is_not_told_at_all() {
    let once = in_percent_escapes(KEY);
    let quoted = in_json_escapes(KEY).replace('\\', "\\\\");
    for hidden in [
        once.clone(),
        KEY.replace('-', "%2D"),
        KEY.replace('-', "%2d"),
        in_percent_escapes(&once),
        quoted.clone(),
        quoted.replace('\\', "\\\\"),
        in_json_escapes(&once),
        in_percent_escapes(&in_json_escapes(KEY)),
    ] {
        let body = format!(r#"{{"error":{{"message":"bad key {hidden}"}}}}"#);
        assert_eq!(cleaned(400, &body), "", "{hidden}");
    }
}

#[test]
fn an_error_that_tells_it_in_hexadecimal_or_base_64_is_not_told_at_all() {
    for before in ["", "a", "ab", "abc", "user:"] {
        let text = format!("{before}{KEY}:more");
        let hex = HEXLOWER.encode(text.as_bytes());
        for encoded in [
            hex.to_uppercase(),
            BASE64_NOPAD.encode(text.as_bytes()),
            BASE64URL_NOPAD.encode(text.as_bytes()),
            in_percent_escapes(&BASE64_NOPAD.encode(text.as_bytes())),
            hex,
        ] {
            let body = format!(r#"{{"said":"{encoded}"}}"#);
            assert_eq!(cleaned(400, &body), "", "{encoded}");
        }
    }
}

#[test]
fn what_does_not_tell_it_stays_byte_for_byte() {
    for body in [
        "",
        "\\",
        "\\u",
        "\\u00",
        "\\u002",
        "100 % of sk-ant-api03",
        r#"{"a":"\u002d\u0073k-ant","b":"%2D%%zz","c":"Sk-ant-api03-Zm9v/Ymal+_-x"}"#,
        "\u{e4}\u{f6}",
    ] {
        for status in [200, 400] {
            assert_eq!(cleaned(status, body), body);
        }
    }
}

#[test]
fn a_header_that_tells_it_is_dropped_and_others_stay() {
    let mut tells = reply(429, "");
    for (name, value) in [
        ("request-id", format!("req_{KEY}")),
        ("x-escaped", in_percent_escapes(KEY)),
        ("x-spelled", in_json_escapes(KEY)),
        ("retry-after", "7".to_owned()),
    ] {
        tells.headers.append(name, HeaderValue::try_from(value).unwrap());
    }
    let headers = Redaction::new(KEY).clean(tells).headers;
    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["retry-after"]);
}

#[test]
fn what_is_too_short_to_be_a_secret_is_not_looked_for() {
    let cleaned = Redaction::new("test").clean(reply(400, "a test"));
    assert_eq!(cleaned.body, "a test");
}

#[test]
fn a_credential_that_looks_like_an_escape_is_found_as_it_is() {
    let key = "sk-ant-\\n\"odd\\u0041";
    let mut told = reply(400, &format!("sent {key}."));
    told.headers
        .insert("retry-after", HeaderValue::from_str(key).unwrap());
    let cleaned = Redaction::new(key).clean(told);
    assert!(cleaned.headers.is_empty(), "{:?}", cleaned.headers);
    assert_eq!(cleaned.body, "sent [credential].");
}
