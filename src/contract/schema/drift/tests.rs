use std::collections::{BTreeSet, HashMap, HashSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn environment() -> Value {
    json!({
        "id": "env_1", "type": "environment", "name": "a", "description": null,
        "config": {
            "type": "cloud",
            "networking": {
                "type": "limited", "allow_mcp_servers": false, "allow_package_managers": true,
                "allowed_hosts": ["a.com"],
            },
            "packages": {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": ["pandas"]},
        },
        "metadata": {"team": "secret-value"},
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00.123456Z", "archived_at": null,
    })
}

fn reply(operation: Operation, status: u16, body: impl Into<Vec<u8>>) -> UpstreamReply {
    UpstreamReply {
        operation,
        status: StatusCode::from_u16(status).unwrap(),
        is_encoded: false,
        body: Bytes::from(body.into()),
    }
}

/// Kind, pointer and detail of all that is told of a reply.
fn findings(reply: &UpstreamReply) -> BTreeSet<(&'static str, String, String)> {
    let mut found = BTreeSet::new();
    ReplySchemas::built_in().unwrap().measure(reply, |_, sighting| {
        let finding = sighting.to_finding();
        found.insert((
            finding.kind.name(),
            finding.pointer,
            finding.detail.unwrap_or_default(),
        ));
    });
    found
}

fn of_environment(environment: &Value) -> BTreeSet<(&'static str, String, String)> {
    findings(&reply(Operation::Update, 200, environment.to_string()))
}

fn fingerprints(schemas: &ReplySchemas, reply: &UpstreamReply, tell: impl FnMut(u64)) {
    let text = reply.text().unwrap_or_default();
    let layout = Layout::of(text);
    schemas.fingerprints(reply, layout.as_ref().and_then(|layout| layout.root(text)), tell);
}

fn shape(reply: &UpstreamReply) -> BTreeSet<u64> {
    let mut parts = BTreeSet::new();
    fingerprints(&ReplySchemas::built_in().unwrap(), reply, |part| {
        parts.insert(part);
    });
    parts
}

/// How often each part of a reply is told, the rarest first.
fn times(reply: &UpstreamReply) -> Vec<usize> {
    let mut times: HashMap<u64, usize> = HashMap::new();
    fingerprints(&ReplySchemas::built_in().unwrap(), reply, |part| {
        *times.entry(part).or_default() += 1;
    });
    let mut times: Vec<usize> = times.into_values().collect();
    times.sort_unstable();
    times
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[name] = value;
}

fn remove(document: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    document
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(name);
}

#[test]
fn what_the_contract_promises_is_no_finding() {
    let mut unrestricted = environment();
    set(
        &mut unrestricted,
        "/config/networking",
        json!({"type": "unrestricted"}),
    );
    set(&mut unrestricted, "/scope", json!("account"));
    remove(&mut unrestricted, "/config/packages/type");
    let mut self_hosted = environment();
    set(&mut self_hosted, "/config", json!({"type": "self_hosted"}));
    set(
        &mut self_hosted,
        "/archived_at",
        json!("2026-01-01T00:00:00+01:00"),
    );
    for environment in [environment(), unrestricted.clone(), self_hosted] {
        assert_eq!(of_environment(&environment), BTreeSet::new());
    }
    for (operation, status, body) in [
        (
            Operation::List,
            200,
            json!({"data": [environment(), unrestricted], "next_page": null}),
        ),
        (
            Operation::Delete,
            200,
            json!({"id": "env_1", "type": "environment_deleted"}),
        ),
        (
            Operation::Update,
            400,
            json!({
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "m", "details": {"error_code": "c"}},
                "request_id": "req_1",
            }),
        ),
    ] {
        assert_eq!(
            findings(&reply(operation, status, body.to_string())),
            BTreeSet::new()
        );
    }
    assert_eq!(findings(&reply(Operation::Delete, 204, "")), BTreeSet::new());
    assert_eq!(
        findings(&reply(Operation::Update, 502, "<html>")),
        BTreeSet::new()
    );
}

#[test]
fn each_difference_is_told_with_its_place() {
    let mut changed = environment();
    set(&mut changed, "/state", json!("running"));
    remove(&mut changed, "/config/packages/go");
    set(
        &mut changed,
        "/config/networking/type",
        json!("package_managers_and_custom"),
    );
    set(&mut changed, "/config/packages/pip", json!(["a", 1, null]));
    set(&mut changed, "/metadata/team", json!(["secret-value"]));
    set(&mut changed, "/created_at", json!("2026-01-01"));
    set(&mut changed, "/description", json!(1));
    let told = |entries: &[(&'static str, &str, &str)]| -> BTreeSet<_> {
        entries
            .iter()
            .map(|(kind, pointer, detail)| (*kind, (*pointer).to_owned(), (*detail).to_owned()))
            .collect()
    };
    let expected = [
        ("unknown_field", "/state", ""),
        ("missing_field", "/config/packages/go", ""),
        (
            "unknown_value",
            "/config/networking/type",
            "\"package_managers_and_custom\"",
        ),
        ("wrong_type", "/config/packages/pip/*", "number"),
        ("wrong_type", "/config/packages/pip/*", "null"),
        ("wrong_type", "/metadata/*", "array"),
        ("broken_rule", "/created_at", "pattern"),
        ("wrong_type", "/description", "number"),
    ];
    assert_eq!(of_environment(&changed), told(&expected));
    let page = json!({"data": [environment(), changed], "next_page": null});
    let in_list = expected.map(|(kind, pointer, detail)| (kind, format!("/data/*{pointer}"), detail));
    let in_list = in_list
        .each_ref()
        .map(|(kind, pointer, detail)| (*kind, pointer.as_str(), *detail));
    assert_eq!(
        findings(&reply(Operation::List, 200, page.to_string())),
        told(&in_list)
    );
}

#[test]
fn a_body_that_is_no_document_is_a_broken_rule() {
    let deep = format!("{}1{}", r#"{"config":"#.repeat(100), "}".repeat(100));
    for (body, rule) in [
        (&b""[..], "empty_body"),
        (b"<html>", "invalid_json"),
        (b"{\"id\": 1} {}", "invalid_json"),
        (b"{\"id\": \"\xff\"}", "invalid_utf8"),
        (deep.as_bytes(), "nesting_too_deep"),
    ] {
        let found = findings(&reply(Operation::Update, 200, body));
        assert_eq!(
            found,
            BTreeSet::from([("broken_rule", String::new(), rule.to_owned())])
        );
    }
    let twice = environment()
        .to_string()
        .replacen('{', r#"{"na\u006de": "b","#, 1);
    let found = findings(&reply(Operation::Update, 200, twice));
    assert_eq!(
        found,
        BTreeSet::from([("broken_rule", "/name".to_owned(), "duplicate_key".to_owned())])
    );
    let found = findings(&reply(Operation::Update, 200, "[1]"));
    assert_eq!(
        found,
        BTreeSet::from([("wrong_type", String::new(), "array".to_owned())])
    );
    let encoded = UpstreamReply {
        is_encoded: true,
        ..reply(Operation::Update, 200, "x")
    };
    assert_eq!(
        findings(&encoded),
        BTreeSet::from([("broken_rule", String::new(), "encoded_body".to_owned())])
    );
}

#[test]
fn no_value_that_could_be_somebodys_is_in_a_finding() {
    let mut changed = environment();
    set(
        &mut changed,
        "/secret",
        json!({"token": "sk-ant-planted", "sk-ant-planted-2": "x"}),
    );
    set(&mut changed, "/metadata", json!("sk-ant-planted"));
    set(&mut changed, "/name", json!(["sk-ant-planted"]));
    set(&mut changed, "/created_at", json!("sk-ant-planted"));
    let mut told = 0;
    ReplySchemas::built_in().unwrap().measure(
        &reply(Operation::Update, 200, changed.to_string()),
        |_, sighting| {
            told += 1;
            assert!(!format!("{:?}", sighting.to_finding()).contains("planted"));
        },
    );
    assert_eq!(told, 4);
    set(&mut changed, "/metadata", json!({"sk-ant-planted": 1}));
    let found = of_environment(&changed);
    assert!(found.contains(&("wrong_type", "/metadata/*".to_owned(), "number".to_owned())));
    assert!(!format!("{found:?}").contains("planted"));
}

#[test]
fn values_that_no_schema_has_an_opinion_of_make_no_other_shape() {
    let base = environment();
    let mut other = environment();
    set(&mut other, "/id", json!("env_2"));
    set(&mut other, "/name", json!("another \"name\" ä"));
    set(&mut other, "/metadata", json!({"a": "1", "b": "2", "type": "x"}));
    set(
        &mut other,
        "/config/networking/allowed_hosts",
        json!(["b.com", "c.com"]),
    );
    set(&mut other, "/updated_at", json!("2027-02-03T04:05:06.000001Z"));
    let of = |document: &Value| shape(&reply(Operation::Update, 200, document.to_string()));
    assert_eq!(of(&base), of(&other));
    let spaced = serde_json::to_string_pretty(&base).unwrap();
    assert_eq!(of(&base), shape(&reply(Operation::Update, 200, spaced)));
    // What stands behind an unknown name does not matter, but that it is there.
    set(&mut other, "/new", json!({"a": 1}));
    let with_new = of(&other);
    assert_ne!(of(&base), with_new);
    set(&mut other, "/new", json!({"b": [1]}));
    assert_eq!(of(&other), with_new);
    // The entries of a page are known one by one.
    let page = |environments: &[&Value]| {
        shape(&reply(
            Operation::List,
            200,
            json!({"data": environments, "next_page": null}).to_string(),
        ))
    };
    assert_eq!(page(&[&base, &base, &base]), page(&[&base]));
    assert!(page(&[&base, &other]).is_superset(&page(&[&base])));
}

/// Things that an upstream may do to a document, at any place of it.
fn mutation() -> impl Strategy<Value = (usize, u8, Value)> {
    let value = prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!(1)),
        Just(json!("limited")),
        Just(json!("2026-01-01T00:00:00Z")),
        Just(json!("new")),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"type": "cloud", "new": 1})),
        Just(json!([{"type": "limited"}])),
    ];
    (any::<usize>(), 0..3_u8, value)
}

fn pointers(document: &Value, at: &str, all: &mut Vec<String>) {
    if let Value::Object(members) = document {
        for (name, member) in members {
            let pointer = format!("{at}/{name}");
            pointers(member, &pointer, all);
            all.push(pointer);
        }
    }
    if let Value::Array(elements) = document {
        for (index, element) in elements.iter().enumerate() {
            pointers(element, &format!("{at}/{index}"), all);
        }
    }
}

fn mutate(document: &mut Value, (place, how, value): (usize, u8, Value)) {
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    let Some(pointer) = all.get(place % all.len().max(1)) else {
        return;
    };
    match how {
        0 => remove(document, pointer),
        1 => set(document, pointer, value),
        _ => {
            let (parent, _) = pointer.rsplit_once('/').unwrap();
            set(document, &format!("{parent}/new"), value);
        }
    }
}

#[test]
fn each_object_of_a_list_counts_and_plain_values_of_a_kind_count_together() {
    let list = |data: &str| {
        reply(
            Operation::List,
            200,
            format!(r#"{{"data":{data},"next_page":null}}"#),
        )
    };
    // The other one is the list itself.
    assert_eq!(times(&list("[{}, {}, { }]")), [1, 3]);
    assert_eq!(times(&list("[[], [[]], []]")), [1, 1, 3]);
    assert_eq!(times(&list("[1, 1.0, 2, 1e2]")), [1, 1], "whole numbers");
    assert_eq!(times(&list("[1.5, 2.5, 1]")), [1, 1, 2]);
    assert_eq!(times(&list(r#"["a", "b", null]"#)), [1, 1, 1]);
}

proptest! {
    #[test]
    fn replies_of_one_shape_differ_from_the_schema_in_the_same_way(
        first in prop::collection::vec(mutation(), 0..4),
        second in prop::collection::vec(mutation(), 0..4),
        is_list in any::<bool>(),
    ) {
        let schemas = ReplySchemas::built_in().unwrap();
        let mut known: HashMap<u64, HashSet<u64>> = HashMap::new();
        for mutations in [first, second] {
            let (operation, mut document) = match is_list {
                true => (Operation::List, json!({"data": [environment(), environment()], "next_page": null})),
                false => (Operation::Update, environment()),
            };
            for mutation in mutations {
                mutate(&mut document, mutation);
            }
            let reply = reply(operation, 200, document.to_string());
            let mut parts: HashMap<u64, HashSet<u64>> = HashMap::new();
            fingerprints(&schemas, &reply, |part| {
                parts.insert(part, HashSet::new());
            });
            schemas.measure(&reply, |part, sighting| {
                // Nothing is told of a part that the pass has not told.
                parts.get_mut(&part).unwrap().insert(sighting.key());
            });
            for (part, found) in parts {
                if let Some(before) = known.insert(part, found.clone()) {
                    prop_assert_eq!(before, found, "{}", document);
                }
            }
        }
    }
}
