//! What holds for every body: order, counting, strictness, and that judge and walk agree.

use proptest::prelude::*;
use serde_json::json;

use super::shape::Documents;
use super::sources::id_of;
use super::tests::{STRICT, check, limited, violations};
use super::*;
use crate::contract::{Dialect, Operation, Rule, Strictness};

#[test]
fn every_unexpected_name_is_told_in_the_order_of_the_document() {
    let told = violations(
        Operation::Update,
        &json!({"z": 1, "config": {"type": "cloud", "y": 1}, "a": 1}),
    );
    let pointers: Vec<_> = told.iter().map(|violation| violation.pointer.as_str()).collect();
    assert_eq!(pointers, ["/z", "/config/y", "/a"]);
}

#[test]
fn twenty_violations_are_told_and_a_thousand_counted() {
    let numbers = |count: usize| json!({"config": {"type": "cloud", "packages": {"pip": vec![0; count]}}});
    for (count, total, in_words) in [
        (21, 21, "21"),
        (1000, 1000, "1000"),
        (1001, 1001, "1000+"),
        (500_000, 1001, "1000+"),
    ] {
        let violations = check(&Dialect::SANDBASE, Operation::Update, &numbers(count)).unwrap_err();
        assert_eq!(violations.told.len(), Violations::TOLD);
        assert_eq!(violations.total, total);
        assert_eq!(violations.total_in_words(), in_words);
    }
}

#[test]
fn relaxed_rules_warn_or_are_silent_and_all_others_stay() {
    let mut body = limited(json!({"allowed_hosts": ["https://a.com", "b.com", "c".repeat(300)], "new": 1}));
    let relaxed = |rule| Strictness {
        unknown_field: rule,
        host_format: rule,
    };
    let warnings = Dialect::SANDBASE
        .validate(Operation::Update, &body, relaxed(Rule::Warn))
        .unwrap();
    let told: Vec<_> = warnings
        .told()
        .iter()
        .map(|warning| (warning.keyword, warning.pointer.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("pattern", "/config/networking/allowed_hosts/0"),
            ("pattern", "/config/networking/allowed_hosts/2"),
            ("additionalProperties", "/config/networking/new"),
        ]
    );
    assert_eq!(
        Dialect::SANDBASE.validate(Operation::Update, &body, relaxed(Rule::Allow)),
        Ok(Warnings::default())
    );

    body["name"] = json!(1);
    for rule in [Rule::Warn, Rule::Allow] {
        let violations = Dialect::SANDBASE
            .validate(Operation::Update, &body, relaxed(rule))
            .unwrap_err();
        assert_eq!(violations.total, 1);
        assert_eq!(violations.told[0].pointer, "/name");
    }
    let only_hosts = Strictness {
        host_format: Rule::Allow,
        ..STRICT
    };
    assert_eq!(
        Dialect::SANDBASE
            .validate(Operation::Update, &body, only_hosts)
            .unwrap_err()
            .total,
        2
    );
    let no_host = limited(json!({"allowed_hosts": [5]}));
    assert!(
        Dialect::SANDBASE
            .validate(Operation::Update, &no_host, relaxed(Rule::Allow))
            .is_err()
    );
}

#[test]
fn the_other_operations_have_no_schema() {
    assert!(check(&Dialect::SANDBASE, Operation::Archive, &json!(5)).is_ok());
}

#[test]
fn a_schema_with_a_keyword_that_cannot_be_explained_is_a_fault() {
    let id = id_of("x.json").unwrap();
    for (schema, problem) in [
        (
            json!({"properties": {"a": {"oneOf": []}}}),
            "unknown field `oneOf`",
        ),
        (json!({"$ref": "y.json"}), "y.json leads nowhere"),
        (json!({"$ref": "#"}), "go round in a circle"),
        (
            json!({"allOf": [{"if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": true}]}),
            "unknown field `const`",
        ),
    ] {
        let documents = Documents::new([(id.clone(), schema)]);
        let fault = documents.shape(&id).err().unwrap();
        assert!(fault.contains(problem), "{fault}");
    }
}

/// Bodies near the schema: its names and values, in places where they may or may not stand.
fn body() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "name",
        "description",
        "config",
        "metadata",
        "scope",
        "type",
        "networking",
        "packages",
        "allowed_hosts",
        "allow_mcp_servers",
        "pip",
        "apt",
        "x",
    ]);
    let leaf = prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(1),
        json!(""),
        json!("cloud"),
        json!("self_hosted"),
        json!("limited"),
        json!("unrestricted"),
        json!("packages"),
        json!("a.com"),
        json!("https://a.com"),
        json!("account"),
        json!("x".repeat(300)),
    ]);
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::hash_map(name.clone(), inner, 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

/// Bodies of which most are right, one part of them replaced by anything.
fn nearly_right_body() -> impl Strategy<Value = Value> {
    let right = json!({
        "name": "a", "description": null, "metadata": {"k": "v"},
        "config": {
            "type": "cloud",
            "networking": {"type": "limited", "allowed_hosts": ["a.com"], "allow_mcp_servers": true},
            "packages": {"type": "packages", "pip": ["pandas"], "apt": null},
        },
    });
    let place = prop::sample::select(vec![
        "/name",
        "/description",
        "/metadata",
        "/metadata/k",
        "/config",
        "/config/type",
        "/config/networking",
        "/config/networking/type",
        "/config/networking/allowed_hosts",
        "/config/networking/allowed_hosts/0",
        "/config/networking/allow_mcp_servers",
        "/config/packages",
        "/config/packages/type",
        "/config/packages/pip/0",
        "/config/packages/apt",
    ]);
    (place, body()).prop_map(move |(place, part)| {
        let mut body = right.clone();
        *body.pointer_mut(place).unwrap() = part;
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_walk_finds_something_exactly_where_the_validator_refuses(body in prop_oneof![body(), nearly_right_body()]) {
        let catalogue = Schemas::built_in().unwrap();
        for schema in [
            &catalogue.anthropic.create, &catalogue.anthropic.update, &catalogue.sandbase.create, &catalogue.sandbase.update,
        ] {
            let walked = SchemaExplainer::explain(&body, &schema.shape, STRICT.into()).unwrap_err();
            let has_found = walked != Violations::unexplained();
            prop_assert_eq!(has_found, !schema.judge.is_valid(&body), "{:?}", walked);
        }
    }

    #[test]
    fn every_pointer_leads_to_the_place_that_is_meant(body in nearly_right_body()) {
        if let Err(violations) = check(&Dialect::SANDBASE, Operation::Create, &body) {
            for violation in violations.told {
                prop_assert!(body.pointer(&violation.pointer).is_some(), "{:?}", violation);
            }
        }
    }
}
