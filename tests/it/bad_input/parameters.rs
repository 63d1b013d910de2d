//! Bodies that break a rule of the contract.

use super::{Guarded, PATH, refused};
use crate::common::envgate::Envgate;
use crate::common::upstream::{Then, Upstream};

#[test]
fn a_misspelt_field_is_named_with_the_one_that_was_meant() {
    let guarded = Guarded::start();
    let body = r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_host":["a.com"]}}}"#;
    let error = refused(&guarded, PATH, body);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("config.networking.allowed_host"), "{message}");
    assert!(message.contains("allowed_hosts"), "{message}");
    assert_eq!(error["details"]["error_code"], "schema_violation");
    let violation = &error["details"]["violations"][0];
    assert_eq!(violation["pointer"], "/config/networking/allowed_host");
    assert_eq!(violation["keyword"], "additionalProperties");
    assert!(violation["hint"].as_str().unwrap().contains("allowed_hosts"));
    guarded.envgate.expect_metric(
        r#"envgate_violations_total{keyword="additionalProperties",pointer="/config/networking/*"}"#,
        1.0,
    );
}

/// Every rule of the contract for request parameters: body, the pointer of its first violation, its keyword.
const UPDATE_VIOLATIONS: &[(&str, &str, &str)] = &[
    ("[]", "", "type"),
    ("null", "", "type"),
    (r#"{"nme":"x"}"#, "/nme", "additionalProperties"),
    (r#"{"name":""}"#, "/name", "minLength"),
    (r#"{"name":7}"#, "/name", "type"),
    (r#"{"description":["x"]}"#, "/description", "type"),
    (r#"{"metadata":null}"#, "/metadata", "type"),
    (r#"{"metadata":{"k":1}}"#, "/metadata/k", "type"),
    (r#"{"scope":"account"}"#, "/scope", "additionalProperties"),
    (r#"{"config":{}}"#, "/config", "required"),
    (r#"{"config":{"packages":{"pip":[]}}}"#, "/config", "required"),
    (r#"{"config":{"type":"clod"}}"#, "/config/type", "enum"),
    (r#"{"config":"cloud"}"#, "/config", "type"),
    (
        r#"{"config":{"type":"self_hosted","packages":{}}}"#,
        "/config/packages",
        "additionalProperties",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{}}}"#,
        "/config/networking",
        "required",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"unrestricted","allowed_hosts":[]}}}"#,
        "/config/networking/allowed_hosts",
        "additionalProperties",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allow_mcp_servers":"yes"}}}"#,
        "/config/networking/allow_mcp_servers",
        "type",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["https://a.com"]}}}"#,
        "/config/networking/allowed_hosts/0",
        "pattern",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["a.com:80"]}}}"#,
        "/config/networking/allowed_hosts/0",
        "pattern",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["a.com","*.*.a.com"]}}}"#,
        "/config/networking/allowed_hosts/1",
        "pattern",
    ),
    (
        r#"{"config":{"type":"cloud","packages":{"pip":"pandas"}}}"#,
        "/config/packages/pip",
        "type",
    ),
    (
        r#"{"config":{"type":"cloud","packages":{"pip":[1]}}}"#,
        "/config/packages/pip/0",
        "type",
    ),
    (
        r#"{"config":{"type":"cloud","packages":{"type":"package"}}}"#,
        "/config/packages/type",
        "enum",
    ),
    (
        r#"{"config":{"type":"cloud","packages":{"conda":[]}}}"#,
        "/config/packages/conda",
        "additionalProperties",
    ),
];

#[test]
fn every_rule_for_request_parameters_has_its_violation() {
    let guarded = Guarded::start();
    for (body, pointer, keyword) in UPDATE_VIOLATIONS {
        let error = refused(&guarded, PATH, body);
        let violation = &error["details"]["violations"][0];
        assert_eq!(
            (
                violation["pointer"].as_str().unwrap(),
                violation["keyword"].as_str().unwrap()
            ),
            (*pointer, *keyword),
            "{body}: {error}"
        );
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with(violation["message"].as_str().unwrap()),
            "{error}"
        );
    }
    for (body, pointer, keyword) in [
        ("{}", "", "required"),
        (r#"{"name":null}"#, "/name", "type"),
        (r#"{"name":"n","metadata":{"k":null}}"#, "/metadata/k", "type"),
    ] {
        let error = refused(&guarded, "/v1/environments", body);
        let violation = &error["details"]["violations"][0];
        assert_eq!(
            (
                violation["pointer"].as_str().unwrap(),
                violation["keyword"].as_str().unwrap()
            ),
            (pointer, keyword),
            "{body}: {error}"
        );
    }
}

#[test]
fn lengths_count_code_points() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    let name = |count: usize| format!(r#"{{"name":"{}"}}"#, "é".repeat(count));
    assert_eq!(envgate.post(PATH, &name(256)).status, 200);
    envgate
        .post(PATH, &name(257))
        .expect_error(400, "invalid_request");
    let description = |count: usize| format!(r#"{{"description":"{}"}}"#, "✓".repeat(count));
    assert_eq!(envgate.post(PATH, &description(1024)).status, 200);
    envgate
        .post(PATH, &description(1025))
        .expect_error(400, "invalid_request");
}

#[test]
fn all_violations_are_told_up_to_twenty_and_counted_beyond() {
    let guarded = Guarded::start();
    let fields: Vec<String> = (0..30).map(|number| format!(r#""field_{number}":1"#)).collect();
    let error = refused(&guarded, PATH, &format!("{{{}}}", fields.join(",")));
    assert_eq!(error["details"]["violations"].as_array().unwrap().len(), 20);
    assert_eq!(error["details"]["violations_total"], "30");
    let many = format!(
        r#"{{"config":{{"type":"cloud","packages":{{"pip":[{}]}}}}}}"#,
        ["1"; 5000].join(",")
    );
    assert_eq!(
        refused(&guarded, PATH, &many)["details"]["violations_total"],
        "1000+"
    );
}

#[test]
fn metadata_values_and_long_strings_are_not_echoed() {
    let guarded = Guarded::start();
    let secret = "s3cr3t-value";
    let error = refused(
        &guarded,
        PATH,
        &format!(
            r#"{{"metadata":{{"k":["{secret}"]}},"config":"{}"}}"#,
            "y".repeat(65)
        ),
    );
    assert!(!error.to_string().contains(secret), "{error}");
    assert!(!error.to_string().contains(&"y".repeat(65)), "{error}");
}

#[test]
fn what_is_no_json_document_says_where() {
    let guarded = Guarded::start();
    for (body, code, line, column, offset) in [
        (&b"{\"name\":"[..], "invalid_json", 1, 9, 8),
        (b"", "invalid_json", 1, 1, 0),
        (b"{\n \"name\": nope}", "invalid_json", 2, 11, 12),
        (
            b"{\"name\":\"a\",\"na\\u006de\":\"b\"}",
            "duplicate_key",
            1,
            13,
            12,
        ),
        (b"{} x", "trailing_bytes", 1, 4, 3),
        (b"{\"name\":\"\xff\"}", "invalid_utf8", 1, 10, 9),
    ] {
        let response = guarded.envgate.request("POST", PATH).body(body).send();
        let error = response.expect_error(400, "invalid_request");
        let details = &error["details"];
        assert_eq!(details["error_code"], code, "{error}");
        assert_eq!(
            (details["line"].as_u64(), details["byte_offset"].as_u64()),
            (Some(line), Some(offset)),
            "{error}"
        );
        assert_eq!(details["column"].as_u64(), Some(column), "{error}");
    }
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert_eq!(
        refused(&guarded, PATH, &deep)["details"]["error_code"],
        "nesting_too_deep"
    );
    let nested = format!(
        r#"{{"metadata":{}"x"{}}}"#,
        "{\"a\":".repeat(100_000),
        "}".repeat(100_000)
    );
    assert_eq!(
        refused(&guarded, PATH, &nested)["details"]["error_code"],
        "nesting_too_deep"
    );
}
