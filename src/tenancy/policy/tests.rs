use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::config::{Install, PackageRule};
use crate::contract::{ApiError, Dialect, Violation};
use crate::environment::{EnvironmentId, HostPattern, PackageManager};

/// A policy that asks for nothing.
pub(super) fn nothing() -> config::Policy {
    config::Policy {
        needs_limited_network: false,
        needs_public_hosts: false,
        allowed_hosts: None,
        allows_package_managers: true,
        allows_mcp_servers: true,
        config_types: None,
        scopes: None,
        packages: BTreeMap::new(),
    }
}

pub(super) fn rule(
    manager: PackageManager,
    install: Install,
    allow: Option<&[&str]>,
    deny: &[&str],
) -> config::Policy {
    let names = |names: &[&str]| -> BTreeSet<_> {
        names
            .iter()
            .map(|name| manager.package_name(name).unwrap())
            .collect()
    };
    let rule = PackageRule {
        install,
        allow: allow.map(names),
        deny: names(deny),
    };
    config::Policy {
        packages: BTreeMap::from([(manager, rule)]),
        ..nothing()
    }
}

fn hosts(patterns: &[&str]) -> config::Policy {
    let patterns = patterns
        .iter()
        .map(|pattern| HostPattern::parse(pattern).unwrap());
    config::Policy {
        allowed_hosts: Some(patterns.collect()),
        ..nothing()
    }
}

pub(super) fn environment(config: Value) -> Environment {
    let create = serde_json::from_value(json!({"name": "n", "config": config})).unwrap();
    Environment::create(create, EnvironmentId::generate().unwrap(), Timestamp::UNIX_EPOCH).unwrap()
}

fn limited(network: Value) -> Environment {
    let mut networking = json!({"type": "limited"});
    networking
        .as_object_mut()
        .unwrap()
        .extend(network.as_object().unwrap().clone());
    environment(json!({"type": "cloud", "networking": networking}))
}

pub(super) fn with_packages(manager: PackageManager, entries: &[&str]) -> Environment {
    environment(json!({"type": "cloud", "packages": {manager.name(): entries}}))
}

pub(super) fn violations(settings: &config::Policy, environment: &Environment) -> Vec<Violation> {
    match Policy::new(settings).judge(environment) {
        Ok(()) => Vec::new(),
        Err(violations) => {
            let known = |violation: &Violation| Policy::KEYWORDS.contains(&violation.keyword);
            assert!(violations.told.iter().all(known), "the keywords are a closed set");
            violations.told
        }
    }
}

/// Pointer and keyword of each violation.
pub(super) fn broken(settings: &config::Policy, environment: &Environment) -> Vec<(String, &'static str)> {
    let pair = |violation: Violation| (violation.pointer, violation.keyword);
    violations(settings, environment).into_iter().map(pair).collect()
}

pub(super) fn one(pointer: &str, keyword: &'static str) -> Vec<(String, &'static str)> {
    vec![(pointer.to_owned(), keyword)]
}

#[test]
fn a_policy_that_asks_for_nothing_allows_everything() {
    for config in [
        json!(null),
        json!({"type": "self_hosted"}),
        json!({"type": "cloud", "packages": {"pip": ["--index-url=https://evil.example"]}}),
    ] {
        assert_eq!(broken(&nothing(), &environment(config)), []);
    }
}

#[test]
fn a_create_without_config_is_judged_as_unrestricted() {
    let limited_only = config::Policy {
        needs_limited_network: true,
        needs_public_hosts: false,
        ..nothing()
    };
    assert_eq!(
        broken(&limited_only, &environment(json!(null))),
        one("/config/networking/type", "networking")
    );
    assert_eq!(broken(&limited_only, &limited(json!({}))), []);
}

#[test]
fn every_rule_of_the_network_wants_it_limited() {
    let unrestricted = environment(json!({"type": "cloud"}));
    for policy in [
        hosts(&["a.com"]),
        config::Policy {
            allows_package_managers: false,
            ..nothing()
        },
        config::Policy {
            allows_mcp_servers: false,
            ..nothing()
        },
    ] {
        assert_eq!(
            broken(&policy, &unrestricted),
            one("/config/networking/type", "networking")
        );
    }
}

#[test]
fn the_flags_of_a_limited_network_are_judged() {
    let network = limited(json!({"allow_package_managers": true, "allow_mcp_servers": true}));
    let both = config::Policy {
        allows_package_managers: false,
        allows_mcp_servers: false,
        ..nothing()
    };
    assert_eq!(
        broken(&both, &network),
        [
            (
                "/config/networking/allow_package_managers".to_owned(),
                "package_managers"
            ),
            ("/config/networking/allow_mcp_servers".to_owned(), "mcp_servers"),
        ]
    );
    assert_eq!(broken(&both, &limited(json!({}))), []);
}

#[test]
fn hosts_are_held_against_the_patterns() {
    let policy = hosts(&["*.a.com", "b.com"]);
    for (host, is_allowed) in [
        ("x.a.com", true),
        ("X.Y.A.COM", true),
        ("*.x.a.com", true),
        ("*.a.com", true),
        ("B.com", true),
        ("a.com", false),
        ("x.b.com", false),
        ("*.b.com", false),
        ("*.com", false),
        ("evila.com", false),
        ("b.com.evil.com", false),
        ("b.com.", false),
        ("b.com:443", false),
        ("https://b.com", false),
        ("b.com\n", false),
        (" b.com", false),
        ("b\u{2024}com", false),
        ("\u{ff42}.com", false),
        ("", false),
        ("*", false),
    ] {
        let expected = if is_allowed {
            vec![]
        } else {
            one("/config/networking/allowed_hosts/1", "allowed_hosts")
        };
        let network = limited(json!({"allowed_hosts": ["b.com", host]}));
        assert_eq!(broken(&policy, &network), expected, "{host:?}");
    }
}

#[test]
fn a_violation_names_the_path_the_rule_the_stored_value_and_what_is_allowed() {
    let policy = hosts(&["*.a.com", "b.com"]);
    let told = violations(&policy, &limited(json!({"allowed_hosts": ["b.com", "Evil.com"]})));
    assert_eq!(
        told,
        [Violation {
            pointer: "/config/networking/allowed_hosts/1".to_owned(),
            schema_pointer: "/config/networking/allowed_hosts/*".to_owned(),
            keyword: "allowed_hosts",
            message: "config.networking.allowed_hosts[1] is \"Evil.com\", which the policy of this plan does not allow"
                .to_owned(),
            hint: Some("the hosts that it allows: \"*.a.com\", \"b.com\"".to_owned()),
        }]
    );
    let long = "a".repeat(65);
    let secret = "https://user:hunter2@b.com";
    let told = violations(&policy, &limited(json!({"allowed_hosts": [long, secret]})));
    assert!(
        told[0].message.contains("a text of 65 characters"),
        "{}",
        told[0].message
    );
    assert!(!told[1].message.contains("hunter2"), "{}", told[1].message);
}

#[test]
fn a_refusal_is_a_permission_error_with_its_violations() {
    let violations = Policy::new(&hosts(&[]))
        .judge(&environment(json!(null)))
        .unwrap_err();
    let answer = ApiError::Policy(violations).answer(&Dialect::SANDBASE, "req_1");
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status.as_u16(), &body["error"]["type"]),
        (403, &json!("permission_error"))
    );
    assert_eq!(body["error"]["details"]["error_code"], "policy_violation");
    assert_eq!(
        body["error"]["details"]["violations"][0]["pointer"],
        "/config/networking/type"
    );
}

#[test]
fn types_and_scopes_are_judged() {
    let own_machines = environment(json!({"type": "self_hosted"}));
    let cloud = config::Policy {
        config_types: Some(vec!["cloud"]),
        ..nothing()
    };
    assert_eq!(broken(&cloud, &own_machines), one("/config/type", "config_types"));

    let accounts = config::Policy {
        scopes: Some(vec![Scope::Account]),
        ..nothing()
    };
    for (scope, expected) in [
        (Some(Scope::Account), vec![]),
        (Some(Scope::Organization), one("/scope", "scopes")),
        (None, one("/scope", "scopes")),
    ] {
        let environment = Environment {
            scope,
            ..own_machines.clone()
        };
        assert_eq!(broken(&accounts, &environment), expected, "{scope:?}");
    }
}

#[test]
fn what_the_rules_cannot_judge_is_refused_unless_its_type_is_allowed_by_name() {
    let own_machines = environment(json!({"type": "self_hosted"}));
    for policy in [
        hosts(&["a.com"]),
        rule(PackageManager::Pip, Install::Any, None, &[]),
    ] {
        assert_eq!(
            broken(&policy, &own_machines),
            one("/config/type", "config_types")
        );
        let by_name = config::Policy {
            config_types: Some(vec!["cloud", "self_hosted"]),
            ..policy
        };
        assert_eq!(broken(&by_name, &own_machines), []);
    }
}

#[test]
fn an_update_that_repairs_an_old_environment_passes_and_one_that_leaves_it_does_not() {
    let policy = hosts(&["a.com"]);
    let old = limited(json!({"allowed_hosts": ["old.com"]}));
    let update = |config: Value| serde_json::from_value(json!({"config": config, "name": "new"})).unwrap();
    let left = old.merge(&update(json!(null)), Timestamp::now()).unwrap();
    assert_eq!(
        broken(&policy, &left),
        one("/config/networking/allowed_hosts/0", "allowed_hosts")
    );
    let repair = json!({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a.com"]}});
    let repaired = old.merge(&update(repair), Timestamp::now()).unwrap();
    assert_eq!(broken(&policy, &repaired), []);
}

#[test]
fn many_violations_are_counted_and_the_first_told() {
    let entries: Vec<_> = (0..2000).map(|number| format!("x{number}.com")).collect();
    let network = limited(json!({"allowed_hosts": entries}));
    let violations = Policy::new(&hosts(&[])).judge(&network).unwrap_err();
    assert_eq!(violations.told.len(), Violations::TOLD);
    assert_eq!(violations.total_in_words(), "1000+");
}
