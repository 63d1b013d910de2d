use super::*;
use crate::contract::UpstreamErrorBody;

/// What the upstream says of the operator's faults, each as it stands in published reports.
const SAID: [(&str, OperatorFault); 9] = [
    (
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
        OperatorFault::CreditBalance,
    ),
    (
        "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        OperatorFault::UsageLimit,
    ),
    (
        "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.",
        OperatorFault::UsageLimit,
    ),
    ("This organization has been disabled.", OperatorFault::Disabled),
    (
        "anthropic-workspace-id is required when authenticating with an identity-linked API key; send the id of the workspace this request acts in.",
        OperatorFault::Workspace,
    ),
    (
        "This API key is not scoped to a workspace, so this request must include the anthropic-workspace-id header with the ID of the workspace to use.",
        OperatorFault::Workspace,
    ),
    (
        "anthropic-workspace-id header must be a valid workspace ID.",
        OperatorFault::Workspace,
    ),
    (
        "Unexpected value(s) `managed-agents-2026-04-01` for the `anthropic-beta` header. Please consult our documentation at docs.anthropic.com or try again without the header.",
        OperatorFault::Beta,
    ),
    (
        "Unexpected value(s) `a-2026`, `b-2026` for the `anthropic-beta` header.",
        OperatorFault::Beta,
    ),
];

fn body(message: &str, details: &str) -> UpstreamErrorBody {
    let message = serde_json::to_string(message).unwrap();
    let error = format!(r#"{{"error":{{"type":"invalid_request_error","message":{message}{details}}}}}"#);
    UpstreamErrorBody::read(error.as_bytes())
}

#[test]
fn a_message_that_is_one_of_the_operators_faults_as_a_whole_is_one() {
    assert!(MESSAGES.is_some(), "the patterns are none");
    for (message, fault) in SAID {
        assert_eq!(
            body(message, "").operator_fault(|_| false),
            Some(fault),
            "{message}"
        );
        for more in [
            format!("name: {message}"),
            format!("{message} is no name"),
            format!("\"{message}\""),
            format!("{message}\n"),
            message.to_uppercase(),
        ] {
            assert_eq!(OperatorFault::of_message(&more), None, "{more}");
        }
    }
}

#[test]
fn a_message_with_details_is_judged_by_its_code_alone() {
    for (message, _) in SAID {
        for details in [
            r#","details":{}"#,
            r#","details":{"error_code":"x"}"#,
            r#","details":{"error_code":null}"#,
        ] {
            assert_eq!(body(message, details).operator_fault(|_| false), None);
        }
    }
    for (code, fault) in [
        ("organization_on_hold", OperatorFault::OnHold),
        (
            "claude_code_key_creator_not_member",
            OperatorFault::KeyCreatorLeft,
        ),
        ("organization_not_enrolled_in_beta", OperatorFault::NotEnrolled),
    ] {
        let details = format!(r#","details":{{"error_code":"{code}","appeal_url":"https://example.com"}}"#);
        assert_eq!(
            body("name is bad", &details).operator_fault(|_| true),
            Some(fault),
            "no tenant can write a code"
        );
    }
}

#[test]
fn no_tenant_can_write_such_a_message() {
    for (message, _) in SAID {
        let quoted = serde_json::to_string(message).unwrap();
        let inner = &message[5..message.len() - 5];
        let as_name = format!(r#"{{"name":{quoted}}}"#);
        let as_metadata = format!(r#"{{"metadata":{{"a":{quoted}}}}}"#);
        let as_metadata_name = format!(r#"{{"metadata":{{{quoted}:"a"}}}}"#);
        let as_a_part = format!(r#"{{"config":{{"packages":{{"pip":["{inner}"]}}}}}}"#);
        for sent_body in [as_name, as_metadata, as_metadata_name, as_a_part] {
            let mut sent = SentTexts::default();
            sent.add_body(sent_body.as_bytes());
            let fault = body(message, "").operator_fault(|said| sent.is_in(said));
            assert_eq!(fault, None, "{sent_body}");
        }
        let mut sent = SentTexts::default();
        sent.add_header(&format!("files-2025, {message}"));
        let fault = body(message, "").operator_fault(|said| sent.is_in(said));
        assert_eq!(fault, None, "as a beta: {message}");
    }
}

#[test]
fn a_beta_that_the_client_sent_is_the_clients() {
    let said = "Unexpected value(s) `x-2020` for the `anthropic-beta` header.";
    let mut sent = SentTexts::default();
    sent.add_header("files-2025,x-2020");
    assert_eq!(body(said, "").operator_fault(|said| sent.is_in(said)), None);
}

#[test]
fn an_ordinary_request_is_in_none_of_them() {
    let mut sent = SentTexts::default();
    sent.add_body(
        br#"{"name":"build","description":"for CI","scope":"organization","config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["example.com"]},"packages":{"type":"packages","pip":["numpy==2.0"]}},"metadata":{"team":"a"}}"#,
    );
    for header in [
        "Anthropic/Python 2.14.0",
        "python",
        "x64",
        "Linux",
        "false",
        "files-api-2025-04-14",
    ] {
        sent.add_header(header);
    }
    for (message, fault) in SAID {
        assert_eq!(
            body(message, "").operator_fault(|said| sent.is_in(said)),
            Some(fault)
        );
    }
}
