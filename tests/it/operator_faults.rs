//! What only the operator can mend: tenants are told in the gateway's words, the operator in the log.

use std::time::Duration;

use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup};
use crate::common::upstream::{Then, Upstream};

const PATH: &str = "/v1/environments/env_1";
const COUNTED: &str = "envgate_upstream_credential_refused_total";

/// An upstream's 400 with this `message`, and `details` after a comma.
fn bad_request(message: &str, details: &str) -> Then {
    let message = serde_json::to_string(message).unwrap();
    let body = format!(
        r#"{{"type":"error","error":{{"type":"invalid_request_error","message":{message}{details}}},"request_id":"req_x"}}"#
    );
    Then::respond("400 Bad Request", &[("content-type", "application/json")], &body)
}

const CREDIT: &str = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";

const MESSAGES: [&str; 5] = [
    CREDIT,
    "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
    "This organization has been disabled.",
    "anthropic-workspace-id is required when authenticating with an identity-linked API key; send the id of the workspace this request acts in.",
    "Unexpected value(s) `managed-agents-2026-04-01` for the `anthropic-beta` header. Please consult our documentation at docs.anthropic.com or try again without the header.",
];

#[test]
fn a_400_that_blames_the_operator_is_502_in_our_words_counted_and_an_error_in_the_log() {
    let appeal = "https://example.com/appeal/org_7";
    let by_code = [
        "organization_on_hold",
        "claude_code_key_creator_not_member",
        "organization_not_enrolled_in_beta",
    ]
    .map(|code| {
        let details = format!(r#","details":{{"error_code":"{code}","appeal_url":"{appeal}"}}"#);
        bad_request("Your organization cannot do this.", &details)
    });
    let by_message = MESSAGES.map(|message| bad_request(message, ""));
    for then in by_code.into_iter().chain(by_message) {
        let upstream = Upstream::always(then);
        let envgate = Envgate::in_front_of(upstream.address);
        for response in [envgate.get(PATH), envgate.post(PATH, r#"{"name":"build"}"#)] {
            let error = response.expect_error(502, "api_error");
            assert_eq!(response.header("x-should-retry"), Some("false"));
            let told = error.to_string();
            assert!(!told.contains(appeal) && !told.contains("organization"), "{told}");
        }
        envgate.expect_metric(COUNTED, 2.0);
        envgate.expect_log("for the operator's fault");
        let log = envgate.log();
        let line = log
            .lines()
            .find(|line| line.contains("operator's fault"))
            .unwrap();
        assert!(line.contains("ERROR") && line.contains("fault="), "{line}");
    }
}

#[test]
fn a_tenant_cannot_make_the_upstream_blame_the_operator() {
    for message in MESSAGES {
        // An upstream that says back what it was sent, and nothing else.
        let upstream = Upstream::always(bad_request(message, ""));
        let envgate = Envgate::in_front_of(upstream.address);
        let quoted = serde_json::to_string(message).unwrap();
        let as_name = envgate.post(PATH, &format!(r#"{{"name":{quoted}}}"#));
        let as_metadata = envgate.post(PATH, &format!(r#"{{"metadata":{{"a":{quoted}}}}}"#));
        let as_beta = envgate
            .request("GET", PATH)
            .header("anthropic-beta", message)
            .send();
        for response in [as_name, as_metadata] {
            let error = response.expect_error(400, "invalid_request");
            assert_eq!(error["message"], message);
        }
        let error = as_beta.expect_error(400, "invalid_request");
        // A name of more than 128 characters does not even go up.
        let is_bounded = message.split(',').all(|name| name.trim().len() <= 128);
        assert_eq!(error["message"] == message, is_bounded, "{error}");
        assert_eq!(envgate.metric(COUNTED), 0.0);
    }
}

#[test]
fn an_error_that_escapes_the_operators_key_does_not_tell_it() {
    let json_escapes: String = OPERATOR_KEY
        .bytes()
        .map(|byte| format!("\\u{byte:04x}"))
        .collect();
    let percent_escapes: String = OPERATOR_KEY.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for spelled in [
        OPERATOR_KEY.to_owned(),
        OPERATOR_KEY.replace('-', "\\u002d"),
        json_escapes.clone(),
        OPERATOR_KEY.replace('-', "%2D"),
        percent_escapes.clone(),
        percent_escapes.replace('%', "%25"),
        json_escapes.replace('\\', "\\\\"),
    ] {
        let body = format!(
            r#"{{"type":"error","error":{{"type":"invalid_request_error","message":"bad key {spelled}","details":{{"error_code":"c","seen":["{spelled}"]}}}}}}"#
        );
        let headers = [
            ("request-id", &*format!("req_{OPERATOR_KEY}")),
            ("retry-after", "7"),
        ];
        let upstream = Upstream::always(Then::respond("400 Bad Request", &headers, &body));
        let mut envgate = Envgate::in_front_of(upstream.address);
        let response = envgate.get(PATH);
        let error = response.expect_error(400, "invalid_request").to_string();
        for told in [&spelled, OPERATOR_KEY, &spelled.replace('\\', "\\\\")] {
            assert!(!error.contains(told), "{told} in {error}");
        }
        assert!(!format!("{:?}", response.headers).contains(OPERATOR_KEY));
        assert_eq!(
            response.header("retry-after"),
            Some("7"),
            "what tells nothing stays"
        );
        let log = envgate.stop();
        assert!(log.contains("ERROR") && log.contains("credential"), "{log}");
        assert!(!log.contains(OPERATOR_KEY), "{log}");
    }
}

#[test]
fn a_success_that_tells_the_operators_key_is_masked_too() {
    let Then::Reply(bytes) = Then::environment() else {
        panic!("an environment is a reply");
    };
    let text = String::from_utf8(bytes).unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    let description = format!(r#""description":"{}""#, OPERATOR_KEY.replace('-', "\\u002D"));
    let body = body.replace(r#""description":null"#, &description);
    let upstream = Upstream::always(Then::respond("200 OK", &[], &body));
    let envgate = Envgate::in_front_of(upstream.address);
    let told = envgate.get(PATH).json();
    assert_eq!(told["description"], "[credential]");
    assert_eq!(told["id"], "env_1");
}

/// The same, with its first list at start.
fn with_first_list(then: Then) -> (Upstream, Envgate) {
    let upstream = Upstream::always(then);
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__LIST_AT_START", "true")
        .start();
    (upstream, envgate)
}

#[test]
fn serve_lists_once_at_start_and_says_what_is_wrong() {
    let credit = bad_request(CREDIT, "");
    for (then, level, expected) in [
        (
            Then::respond("401 Unauthorized", &[], ""),
            "ERROR",
            "refuses the credential",
        ),
        (Then::respond("404 Not Found", &[], ""), "ERROR", "the workspace"),
        (credit, "ERROR", "credit balance"),
        (
            Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#),
            "INFO",
            "takes the credential",
        ),
    ] {
        let (upstream, envgate) = with_first_list(then);
        envgate.expect_log(expected);
        let log = envgate.log();
        let line = log.lines().find(|line| line.contains(expected)).unwrap();
        assert!(line.contains(level), "{line}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), 1, "once");
        assert_eq!(seen[0].line, "GET /v1/environments?limit=1 HTTP/1.1");
        assert_eq!(seen[0].all("x-api-key"), [OPERATOR_KEY]);
    }
}

#[test]
fn nobody_waits_for_the_first_list() {
    let (upstream, envgate) = with_first_list(Then::Hang(Duration::from_secs(30)));
    crate::common::envgate::eventually("the list is asked for", || upstream.seen().len() == 1);
    assert_eq!(envgate.get("/v1/nowhere").status, 404, "ready all the same");
}
