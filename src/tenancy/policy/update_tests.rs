//! What an update would give, whatever its nulls mean and whatever the service itself would refuse.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::tests::{environment, nothing, one, rule};
use super::*;
use crate::config::Install;
use crate::environment::{HostPattern, PackageManager};

fn limited_only() -> config::Policy {
    config::Policy {
        needs_limited_network: true,
        needs_public_hosts: false,
        ..nothing()
    }
}

fn limited(hosts: &[&str]) -> Environment {
    environment(json!({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": hosts}}))
}

/// Pointer and keyword of each rule that an update would break; the code where it is no update at all.
fn broken(settings: &config::Policy, stored: &Environment, body: &Value) -> Vec<(String, &'static str)> {
    match Policy::new(settings).judge_update(stored, body) {
        Ok(()) => Vec::new(),
        Err(UpdateRejection::Invalid(error)) => one("", error.code()),
        Err(UpdateRejection::Policy(violations)) => violations
            .told
            .into_iter()
            .map(|violation| (violation.pointer, violation.keyword))
            .collect(),
    }
}

#[test]
fn a_null_that_could_reset_the_network_breaks_a_rule_that_wants_it_limited() {
    let stored = limited(&["a.com"]);
    let null = json!({"config": {"type": "cloud", "networking": null}});
    assert_eq!(
        broken(&limited_only(), &stored, &null),
        one("/config/networking/type", "networking")
    );
    let whole = json!({"config": null});
    assert_eq!(
        broken(&limited_only(), &stored, &whole),
        one("/config/networking/type", "networking")
    );
    for harmless in [
        json!({"config": {"type": "cloud"}}),
        json!({"config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": null}}}),
        json!({"config": {"type": "cloud", "packages": null}}),
        json!({"name": null}),
    ] {
        assert_eq!(broken(&limited_only(), &stored, &harmless), [], "{harmless}");
    }
    assert_eq!(broken(&nothing(), &stored, &null), []);
}

#[test]
fn a_null_that_could_keep_what_is_stored_does_not_repair_it() {
    let hosts = config::Policy {
        allowed_hosts: Some(vec![]),
        ..nothing()
    };
    let null = json!({"config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": null}}});
    assert_eq!(
        broken(&hosts, &limited(&["old.com"]), &null),
        one("/config/networking/allowed_hosts/0", "allowed_hosts")
    );
    let no_pip = rule(PackageManager::Pip, Install::Off, None, &[]);
    let stored = environment(json!({"type": "cloud", "packages": {"pip": ["a"]}}));
    for config in [
        json!({"type": "cloud", "packages": null}),
        json!({"type": "cloud", "packages": {"pip": null}}),
        json!(null),
    ] {
        assert_eq!(
            broken(&no_pip, &stored, &json!({ "config": config })),
            one("/config/packages/pip", "install"),
            "{config}"
        );
    }
}

#[test]
fn a_null_scope_could_take_the_scope_away() {
    let accounts = config::Policy {
        scopes: Some(vec![Scope::Account]),
        ..nothing()
    };
    let stored = Environment {
        scope: Some(Scope::Account),
        ..environment(json!(null))
    };
    assert_eq!(broken(&accounts, &stored, &json!({})), []);
    assert_eq!(
        broken(&accounts, &stored, &json!({"scope": null})),
        one("/scope", "scopes")
    );
}

#[test]
fn a_violation_that_only_a_null_could_bring_says_so() {
    let body = json!({"config": {"type": "cloud", "networking": null}});
    let outcome = Policy::new(&limited_only()).judge_update(&limited(&[]), &body);
    let Err(UpdateRejection::Policy(violations)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        violations.message(),
        "a null in the request can mean that config.networking.type is \"unrestricted\", and the policy of this plan \
         wants it \"limited\"; leave the null out, or send a value"
    );
}

#[test]
fn what_the_service_would_refuse_is_judged_all_the_same() {
    let no_pip = rule(PackageManager::Pip, Install::Off, None, &[]);
    let out_of_reach =
        json!({"type": "cloud", "networking": {"type": "limited"}, "packages": {"pip": ["a"]}});
    let policy = Policy::new(&no_pip);
    let violations = policy
        .judge_create(&json!({"name": "n", "config": out_of_reach}))
        .unwrap_err();
    assert_eq!(violations.told[0].pointer, "/config/packages/pip");
    assert_eq!(
        broken(&no_pip, &limited(&[]), &json!({ "config": out_of_reach })),
        one("/config/packages/pip", "install")
    );
    // Where nothing else is wrong with it, the service says so better.
    assert_eq!(
        broken(&nothing(), &limited(&[]), &json!({ "config": out_of_reach })),
        []
    );
}

#[test]
fn archived_environments_and_changes_of_type_are_no_updates() {
    let archived = limited(&[]).archive(Timestamp::UNIX_EPOCH);
    assert_eq!(
        broken(&nothing(), &archived, &json!({"config": {"type": "self_hosted"}})),
        one("", "environment_archived")
    );
    let [cloud, own] = [json!({"type": "cloud"}), json!({"type": "self_hosted"})];
    for (stored, sent) in [(&cloud, &own), (&own, &cloud)] {
        assert_eq!(
            broken(
                &nothing(),
                &environment(stored.clone()),
                &json!({ "config": sent })
            ),
            one("", "invalid_config_type_change")
        );
    }
}

/// What a null for each part of a config stands for where it resets.
const RESETS: [(&str, &str); 6] = [
    ("/networking", r#"{"type":"unrestricted"}"#),
    (
        "/packages",
        r#"{"apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":[]}"#,
    ),
    ("/networking/allow_mcp_servers", "false"),
    ("/networking/allow_package_managers", "false"),
    ("/networking/allowed_hosts", "[]"),
    ("/packages/pip", "[]"),
];

/// The config with each of its nulls left out, or reset where its bit of `readings` says so.
fn read_nulls(mut config: Value, readings: u8) -> Value {
    for (bit, (pointer, reset)) in RESETS.into_iter().enumerate() {
        if config.pointer(pointer) != Some(&Value::Null) {
            continue;
        }
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = config.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.remove(name);
        if readings & (1 << bit) != 0 {
            parent.insert(name.to_owned(), serde_json::from_str(reset).unwrap());
        }
    }
    config
}

/// A member that is left out, null, or one of these.
fn member(values: Vec<Value>) -> impl Strategy<Value = Option<Value>> {
    let values = proptest::sample::select(values);
    prop_oneof![1 => Just(None), 2 => Just(Some(Value::Null)), 3 => values.prop_map(Some)]
}

fn object(members: Vec<(&str, Option<Value>)>) -> Value {
    let there = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect())
}

prop_compose! {
    fn limited_network()(
        hosts in member(vec![json!([]), json!(["a.com"]), json!(["b.com"])]),
        mcp in member(vec![json!(true), json!(false)]),
        managers in member(vec![json!(true), json!(false)]),
    ) -> Value {
        object(vec![
            ("type", Some(json!("limited"))),
            ("allowed_hosts", hosts),
            ("allow_mcp_servers", mcp),
            ("allow_package_managers", managers),
        ])
    }
}

prop_compose! {
    fn cloud()(
        limited in limited_network(),
        networking in 0..4_u8,
        pip in member(vec![json!([]), json!(["a"]), json!(["evil"])]),
        packages in 0..3_u8,
    ) -> Value {
        let networking = match networking {
            0 => None,
            1 => Some(Value::Null),
            2 => Some(json!({"type": "unrestricted"})),
            _ => Some(limited),
        };
        let packages = match packages {
            0 => None,
            1 => Some(Value::Null),
            _ => Some(object(vec![("pip", pip)])),
        };
        object(vec![("type", Some(json!("cloud"))), ("networking", networking), ("packages", packages)])
    }
}

prop_compose! {
    fn policy()(
        needs_limited_network in any::<bool>(),
        needs_public_hosts in any::<bool>(),
        has_hosts in any::<bool>(),
        allows_package_managers in any::<bool>(),
        allows_mcp_servers in any::<bool>(),
        has_packages in any::<bool>(),
    ) -> config::Policy {
        let packages = rule(PackageManager::Pip, Install::Any, None, &["evil"]);
        config::Policy {
            needs_limited_network,
            needs_public_hosts,
            allowed_hosts: has_hosts.then(|| vec![HostPattern::parse("a.com").unwrap()]),
            allows_package_managers,
            allows_mcp_servers,
            ..if has_packages { packages } else { nothing() }
        }
    }
}

/// Like [`environment`], whatever the service would say to it.
fn any_environment(config: &Value) -> Environment {
    let params = serde_json::from_value(config.clone()).unwrap();
    Environment {
        config: Config::new(Some(&params)),
        ..environment(json!(null))
    }
}

proptest! {
    #[test]
    fn a_rule_is_broken_where_any_way_to_read_the_nulls_breaks_it(
        stored in cloud(), sent in cloud(), settings in policy(),
    ) {
        let stored = any_environment(&stored);
        let keywords = |body: Value| -> BTreeSet<_> {
            broken(&settings, &stored, &body).into_iter().collect()
        };
        let mut any = BTreeSet::new();
        for readings in 0..1 << RESETS.len() {
            any.extend(keywords(json!({ "config": read_nulls(sent.clone(), readings) })));
        }
        prop_assert_eq!(keywords(json!({ "config": sent })), any);
    }
}
