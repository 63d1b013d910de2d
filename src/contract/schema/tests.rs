use serde_json::json;

use super::*;
use crate::contract::{Dialect, Operation, Rule, Strictness, Violation};

pub(super) const STRICT: Strictness = Strictness {
    unknown_field: Rule::Reject,
    host_format: Rule::Reject,
};

pub(super) fn check(dialect: &Dialect, operation: Operation, body: &Value) -> Result<Warnings, Violations> {
    dialect.validate(operation, body, STRICT)
}

#[track_caller]
pub(super) fn violations(operation: Operation, body: &Value) -> Vec<Violation> {
    check(&Dialect::SANDBASE, operation, body).unwrap_err().told
}

#[track_caller]
fn only_violation(body: &Value) -> Violation {
    let mut told = violations(Operation::Update, body);
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

/// An update of a limited network with these members besides its type.
pub(super) fn limited(members: Value) -> Value {
    let mut networking = json!({"type": "limited"});
    networking
        .as_object_mut()
        .unwrap()
        .append(&mut members.as_object().unwrap().clone());
    json!({"config": {"type": "cloud", "networking": networking}})
}

#[test]
fn all_schemas_compile() {
    assert_eq!(prove_schemas(), Ok(()));
}

#[test]
fn the_bodies_of_the_contract_are_accepted() {
    for body in [
        json!({}),
        json!({"name": null, "description": null, "config": null, "metadata": {"k": null, "l": ""}}),
        json!({"name": "a", "description": ""}),
        json!({"config": {"type": "self_hosted"}}),
        json!({"config": {"type": "cloud"}}),
        json!({"config": {"type": "cloud", "networking": null, "packages": null}}),
        json!({"config": {"type": "cloud", "networking": {"type": "unrestricted"}}}),
        json!({"config": {"type": "cloud", "packages": {"type": "packages", "pip": ["pandas"], "apt": [], "go": null}}}),
        limited(json!({})),
        limited(json!({"allowed_hosts": null, "allow_mcp_servers": null, "allow_package_managers": true})),
    ] {
        for dialect in [&Dialect::SANDBASE, &Dialect::ANTHROPIC] {
            assert_eq!(
                check(dialect, Operation::Update, &body),
                Ok(Warnings::default()),
                "{body}"
            );
        }
    }
    for body in [
        json!({"name": "a"}),
        json!({"name": "ä".repeat(256), "description": "ä".repeat(1024), "metadata": {}, "config": {"type": "cloud"}}),
    ] {
        assert!(
            check(&Dialect::SANDBASE, Operation::Create, &body).is_ok(),
            "{body}"
        );
    }
}

#[test]
fn each_violation_is_told_in_words() {
    let cases = [
        (
            json!([]),
            "",
            "type",
            "the body must be an object, not a list",
            None,
        ),
        (
            json!({"name": 5}),
            "/name",
            "type",
            "name must be a string or null, not a number",
            Some("put it in quotes"),
        ),
        (
            json!({"name": ""}),
            "/name",
            "minLength",
            "name must not be empty",
            None,
        ),
        (
            json!({"name": "x".repeat(257)}),
            "/name",
            "maxLength",
            "name must have at most 256 characters, not 257",
            None,
        ),
        (
            json!({"description": "x".repeat(1025)}),
            "/description",
            "maxLength",
            "description must have at most 1024 characters, not 1025",
            None,
        ),
        (
            json!({"nmae": "x"}),
            "/nmae",
            "additionalProperties",
            "nmae is not a known field",
            Some("did you mean \"name\"?"),
        ),
        (
            json!({"a b/c": 1}),
            "/a b~1c",
            "additionalProperties",
            "[\"a b/c\"] is not a known field",
            Some("the fields known here: \"name\", \"description\", \"config\" and \"metadata\""),
        ),
        (
            json!({"metadata": null}),
            "/metadata",
            "type",
            "metadata must be an object, not null",
            Some("leave it out instead"),
        ),
        (
            json!({"metadata": {"a b": 5}}),
            "/metadata/a b",
            "type",
            "metadata[\"a b\"] must be a string or null, not a number",
            Some("put it in quotes"),
        ),
        (
            json!({"config": []}),
            "/config",
            "type",
            "config must be an object or null, not a list",
            None,
        ),
        (
            json!({"config": {"packages": {}}}),
            "/config",
            "required",
            "config.type is required",
            Some("add \"type\": \"cloud\""),
        ),
        (
            json!({"config": {"tpye": "cloud"}}),
            "/config",
            "required",
            "config.type is required",
            Some("did you mean \"type\" where it says \"tpye\"?"),
        ),
        (
            json!({"config": {"type": "Clould", "x": 1}}),
            "/config/type",
            "enum",
            "config.type must be \"cloud\" or \"self_hosted\", not \"Clould\"",
            Some("did you mean \"cloud\"?"),
        ),
        (
            json!({"config": {"type": 7}}),
            "/config/type",
            "enum",
            "config.type must be \"cloud\" or \"self_hosted\", not a number",
            None,
        ),
        (
            json!({"config": {"type": "self_hosted", "packages": {}}}),
            "/config/packages",
            "additionalProperties",
            "config.packages is not a known field",
            Some("\"packages\" belongs to \"type\": \"cloud\""),
        ),
        (
            json!({"config": {"type": "cloud", "networking": {"allowed_hosts": []}}}),
            "/config/networking",
            "required",
            "config.networking.type is required",
            Some("add \"type\": \"limited\""),
        ),
        (
            json!({"config": {"type": "cloud", "networking": {"type": "unrestricted", "allowed_hosts": []}}}),
            "/config/networking/allowed_hosts",
            "additionalProperties",
            "config.networking.allowed_hosts is not a known field",
            Some("\"allowed_hosts\" belongs to \"type\": \"limited\""),
        ),
        (
            limited(json!({"allowed_host": ["a.com"]})),
            "/config/networking/allowed_host",
            "additionalProperties",
            "config.networking.allowed_host is not a known field",
            Some("did you mean \"allowed_hosts\"?"),
        ),
        (
            limited(json!({"allowed_hosts": "a.com"})),
            "/config/networking/allowed_hosts",
            "type",
            "config.networking.allowed_hosts must be a list of strings or null, not a string",
            Some("put it in a list: [\"a.com\"]"),
        ),
        (
            limited(json!({"allow_mcp_servers": "true"})),
            "/config/networking/allow_mcp_servers",
            "type",
            "config.networking.allow_mcp_servers must be a boolean or null, not a string",
            Some("write true without quotes"),
        ),
        (
            limited(json!({"allowed_hosts": ["a.com", "https://b.com:8443/x"]})),
            "/config/networking/allowed_hosts/1",
            "pattern",
            "config.networking.allowed_hosts[1] must be a bare host name such as api.example.com or *.example.com, \
             not \"https://b.com:8443/x\"",
            Some("did you mean \"b.com\"?"),
        ),
        (
            json!({"config": {"type": "cloud", "packages": {"pip": ["a", 1]}}}),
            "/config/packages/pip/1",
            "type",
            "config.packages.pip[1] must be a string, not a number",
            Some("put it in quotes"),
        ),
        (
            json!({"config": {"type": "cloud", "packages": {"type": "package"}}}),
            "/config/packages/type",
            "enum",
            "config.packages.type must be \"packages\", not \"package\"",
            Some("did you mean \"packages\"?"),
        ),
    ];
    for (body, pointer, keyword, message, hint) in cases {
        let told = only_violation(&body);
        let expected = Violation {
            pointer: pointer.to_owned(),
            schema_pointer: told.schema_pointer.clone(),
            keyword,
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        };
        assert_eq!(told, expected, "{body}");
        assert!(Violation::KEYWORDS.contains(&keyword));
    }
}

#[test]
fn a_create_needs_a_name_and_takes_no_null_in_metadata() {
    let told = violations(Operation::Create, &json!({"metadata": {"k": null}}));
    let pointers: Vec<_> = told.iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!(pointers, ["/metadata/k", ""]);
    assert_eq!(told[1].message, "name is required");
    assert!(check(&Dialect::SANDBASE, Operation::Create, &json!({"name": null})).is_err());
    assert!(
        check(
            &Dialect::SANDBASE,
            Operation::Create,
            &json!({"name": "a", "metadata": null})
        )
        .is_err()
    );
}

#[test]
fn scope_belongs_to_one_dialect_only() {
    for operation in [Operation::Create, Operation::Update] {
        for scope in [json!("organization"), json!("account"), json!(null)] {
            let body = json!({"name": "a", "scope": scope});
            assert!(check(&Dialect::ANTHROPIC, operation, &body).is_ok());
            let told = violations(operation, &body);
            assert_eq!(told[0].message, "scope is not a known field");
            assert_eq!(
                told[0].hint.as_deref(),
                Some("it is a parameter of the anthropic dialect and no part of this one")
            );
        }
    }
    let told = check(
        &Dialect::ANTHROPIC,
        Operation::Update,
        &json!({"scope": "acount"}),
    )
    .unwrap_err()
    .told;
    assert_eq!(
        told[0].message,
        r#"scope must be "organization", "account" or null, not "acount""#
    );
}

#[test]
fn hosts_are_bare() {
    let long = format!("{}.{}", "a.".repeat(100), "b".repeat(52));
    let label = "a".repeat(63);
    for host in [
        "a.com",
        "localhost",
        "*.example.com",
        "10.0.0.1",
        "xn--bcher-kva.example",
        "A-1.Example.COM",
        &label,
        &long.replace("..", "."),
    ] {
        assert!(
            check(
                &Dialect::SANDBASE,
                Operation::Update,
                &limited(json!({"allowed_hosts": [host]}))
            )
            .is_ok(),
            "{host}"
        );
    }
    let too_long = "a.".repeat(127) + "a";
    for (host, hint) in [
        ("", None),
        ("https://a.com", Some("a.com")),
        ("http://user:secret@a.com:80/path?q#f", Some("a.com")),
        ("a.com:443", Some("a.com")),
        ("a.com/path", Some("a.com")),
        ("a.com.", Some("a.com")),
        (" a.com ", Some("a.com")),
        (".a.com", Some("*.a.com")),
        ("*", None),
        ("*.*.a.com", None),
        ("a.*.com", None),
        ("-a.com", None),
        ("a-.com", None),
        ("a_b.com", None),
        ("a..com", None),
        ("bücher.example", None),
        ("[::1]", None),
        ("a.com\n", Some("a.com")),
        (&"a".repeat(64), None),
        (&too_long, None),
    ] {
        let told = only_violation(&limited(json!({"allowed_hosts": [host]})));
        let hint = hint.map(|host| format!("did you mean \"{host}\"?"));
        assert_eq!(told.hint, hint, "{host:?}");
    }
}

#[test]
fn long_texts_and_private_values_are_not_repeated() {
    let long = "s".repeat(65);
    for body in [
        limited(json!({"allowed_hosts": [format!("https://{long}/")]})),
        limited(json!({"allowed_hosts": long})),
        json!({"config": {"type": long}}),
        json!({"metadata": {"k": ["sssss"]}, "x": {"sssss": "sssss"}}),
        json!({"metadata": "sssss"}),
        json!({long.clone(): 1}),
        json!({"metadata": {long.clone(): 1}}),
    ] {
        for violation in violations(Operation::Update, &body) {
            let told = format!("{} {:?}", violation.message, violation.hint);
            assert!(!told.contains(&long) && !told.contains("sssss\""), "{told}");
            assert!(!violation.pointer.contains(&long), "{}", violation.pointer);
        }
    }
}

#[test]
fn a_violation_tells_its_place_in_the_schema_without_a_name_of_the_clients() {
    let cases = [
        (json!({"nmae": "x"}), "/*"),
        (
            json!({"config": {"type": "cloud", "networking": {"type": "limited", "allowed_host": []}}}),
            "/config/networking/*",
        ),
        (json!({"metadata": {"team/ä": 1}}), "/metadata/*"),
        (
            json!({"config": {"type": "cloud", "packages": {"pip": ["a", 7]}}}),
            "/config/packages/pip/*",
        ),
        (json!({"config": {}}), "/config/type"),
        (json!({"name": ""}), "/name"),
        (json!([]), ""),
    ];
    for (body, schema_pointer) in cases {
        assert_eq!(only_violation(&body).schema_pointer, schema_pointer, "{body}");
    }
}
