use http::StatusCode;

use crate::contract::{Dialect, Operation, Schemas, UpstreamErrorBody};

fn place(message: &str) -> String {
    let schemas = Schemas::built_in().unwrap();
    Dialect::ANTHROPIC.place_in_message(&schemas, Operation::Update, message)
}

#[test]
fn a_place_that_a_message_names_is_found_however_it_is_written() {
    for (message, pointer) in [
        (
            "config.networking.allowed_hosts[0]: not a host name",
            "/config/networking/allowed_hosts/*",
        ),
        (
            "config.networking.allowed_hosts.17: not a host name",
            "/config/networking/allowed_hosts/*",
        ),
        ("environments.0.name: must be unique", "/name"),
        (
            "body.config.packages.pip[3]: no such package",
            "/config/packages/pip/*",
        ),
        (
            "The value of `config.packages.npm` is too long",
            "/config/packages/npm",
        ),
        ("`description` must be shorter", "/description"),
        (
            "Unexpected value at /config/networking/type.",
            "/config/networking/type",
        ),
        ("$.config.packages.apt[0] is unknown", "/config/packages/apt/*"),
        (
            "Invalid request (config.networking.type)",
            "/config/networking/type",
        ),
        ("name is taken", "/name"),
        ("metadata.customer.email: too long", "/metadata/*"),
        ("metadata[\"a b\"]: too long", "/metadata/*"),
        ("/metadata/secret~1key: too long", "/metadata/*"),
        ("metadata: too many keys", "/metadata"),
    ] {
        assert_eq!(place(message), pointer, "{message}");
    }
}

#[test]
fn what_the_schema_does_not_have_is_no_place() {
    for message in [
        "",
        ":",
        "Input should be a valid string",
        "config.gpu: Extra inputs are not permitted",
        "hunter2.secret[0]: no",
        "`hunter2` is not allowed",
        "config.networking.allowed_hosts.hunter2: no",
        "name.hunter2: no",
        "environments: no",
        "[0]: no",
        "[[[[: no",
        "config..type: no",
        "config.networking.allowed_hosts[0: no",
        "the name is \"config.networking\" of all",
    ] {
        let found = place(message);
        assert!(!found.contains("hunter2"), "{message}");
        if !message.contains("\"config") {
            assert_eq!(found, "", "{message}");
        }
    }
    let long = format!("{}name: no", "é".repeat(1000));
    assert_eq!(place(&long), "");
    assert_eq!(place(&"config.".repeat(1000)), "");
    let schemas = Schemas::built_in().unwrap();
    let archive = Dialect::ANTHROPIC.place_in_message(&schemas, Operation::Archive, "name: no");
    assert_eq!(archive, "", "it has no body");
}

#[test]
fn only_what_a_request_says_in_itself_counts_as_refused() {
    let refuses = |status: u16, body: &str| {
        UpstreamErrorBody::read(body.as_bytes()).refuses_request(StatusCode::from_u16(status).unwrap())
    };
    let of_type = |name: &str| format!(r#"{{"error":{{"type":"{name}","message":"name: no"}}}}"#);
    let of_code = |code: &str| {
        format!(
            r#"{{"error":{{"type":"invalid_request_error","message":"no","details":{{"error_code":"{code}"}}}}}}"#
        )
    };
    assert!(refuses(400, &of_type("invalid_request_error")));
    assert!(refuses(422, &of_type("unprocessable")));
    assert!(refuses(400, &of_code("too_many_hosts")));
    assert!(refuses(422, "no JSON"));
    for (status, body) in [
        (400, of_type("billing_error")),
        (400, "no JSON".to_owned()),
        (404, of_type("invalid_request_error")),
        (409, of_type("invalid_request_error")),
        (400, of_code("environment_archived")),
        (400, of_code("invalid_config_type_change")),
        (400, of_code("packages_out_of_reach")),
    ] {
        assert!(!refuses(status, &body), "{status} {body}");
    }
}
