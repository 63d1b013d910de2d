use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Install, PackageRule};
use crate::contract::{ApiError, Dialect, Violation};
use crate::environment::{EnvironmentId, HostPattern, PackageManager};

/// A policy that asks for nothing.
fn nothing() -> config::Policy {
    config::Policy {
        needs_limited_network: false,
        allowed_hosts: None,
        allows_package_managers: true,
        allows_mcp_servers: true,
        config_types: None,
        scopes: None,
        packages: BTreeMap::new(),
    }
}

fn rule(manager: PackageManager, install: Install, allow: Option<&[&str]>, deny: &[&str]) -> config::Policy {
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

fn environment(config: Value) -> Environment {
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

fn with_packages(manager: PackageManager, entries: &[&str]) -> Environment {
    environment(json!({"type": "cloud", "packages": {manager.name(): entries}}))
}

fn violations(settings: &config::Policy, environment: &Environment) -> Vec<Violation> {
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
fn broken(settings: &config::Policy, environment: &Environment) -> Vec<(String, &'static str)> {
    let pair = |violation: Violation| (violation.pointer, violation.keyword);
    violations(settings, environment).into_iter().map(pair).collect()
}

fn one(pointer: &str, keyword: &'static str) -> Vec<(String, &'static str)> {
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
fn a_list_that_is_off_must_be_empty() {
    let policy = rule(PackageManager::Gem, Install::Off, None, &[]);
    let environment = with_packages(PackageManager::Gem, &["rails", "rake"]);
    assert_eq!(
        broken(&policy, &environment),
        one("/config/packages/gem", "install")
    );
    assert_eq!(
        violations(&policy, &environment)[0].message,
        "config.packages.gem must be empty by the policy of this plan, and it is not: \"rails\" and 1 more"
    );
    assert_eq!(
        broken(&policy, &with_packages(PackageManager::Pip, &["x"])),
        [],
        "other lists are free"
    );
}

#[test]
fn pinned_wants_one_exact_version() {
    for (manager, good, bad) in [
        (PackageManager::Apt, "ffmpeg=7:6.1-1", "ffmpeg"),
        (PackageManager::Cargo, "ripgrep@14.0.0", "ripgrep@^14.0.0"),
        (PackageManager::Gem, "rails:7.1.0", "rails:~>7.1"),
        (
            PackageManager::Go,
            "golang.org/x/tools@v0.1.0",
            "golang.org/x/tools@latest",
        ),
        (PackageManager::Npm, "express@4.18.0", "express@latest"),
        (PackageManager::Pip, "pandas==2.2.0", "pandas==2.*"),
    ] {
        let policy = rule(manager, Install::Pinned, None, &[]);
        let pointer = format!("/config/packages/{manager}/1");
        assert_eq!(
            broken(&policy, &with_packages(manager, &[good, bad])),
            one(&pointer, "install")
        );
    }
    let told = violations(
        &rule(PackageManager::Pip, Install::Pinned, None, &[]),
        &with_packages(PackageManager::Pip, &["Pandas>=2"]),
    );
    assert_eq!(told[0].hint.as_deref(), Some("write it as \"pandas==VERSION\""));
}

#[test]
fn names_are_compared_as_their_manager_compares_them() {
    for (manager, listed, entry, is_held) in [
        (PackageManager::Pip, "scikit-learn", "Scikit__Learn==1.0", true),
        (PackageManager::Pip, "scikit-learn", "scikit-learn2", false),
        (PackageManager::Pip, "uvicorn", "UVICORN[standard]>=0.30", true),
        (PackageManager::Cargo, "cargo-edit", "CARGO_EDIT@0.12.0", true),
        (PackageManager::Gem, "redcloth", "RedCloth:4.3.2", true),
        (PackageManager::Npm, "@types/node", "@types/node@20", true),
        (PackageManager::Npm, "node", "@types/node", false),
        (PackageManager::Npm, "@types/node", "node", false),
        (
            PackageManager::Go,
            "github.com/evil/mod",
            "github.com/Evil/mod/cmd/x@latest",
            true,
        ),
        (
            PackageManager::Go,
            "github.com/evil/mod",
            "github.com/evil/mod/v2",
            true,
        ),
        (
            PackageManager::Go,
            "github.com/evil/mod",
            "github.com/evil/model",
            false,
        ),
        (PackageManager::Apt, "netcat", "netcat:amd64=1.10", true),
        (PackageManager::Apt, "netcat", "netcat-openbsd", false),
    ] {
        let environment = with_packages(manager, &[entry]);
        let pointer = format!("/config/packages/{manager}/0");
        let denied = broken(&rule(manager, Install::Any, None, &[listed]), &environment);
        assert_eq!(
            denied,
            if is_held { one(&pointer, "deny") } else { vec![] },
            "{entry} denied by {listed}"
        );
        let allowed = broken(&rule(manager, Install::Any, Some(&[listed]), &[]), &environment);
        assert_eq!(
            allowed,
            if is_held { vec![] } else { one(&pointer, "allow") },
            "{entry} allowed by {listed}"
        );
    }
}

#[test]
fn what_is_denied_stays_denied_where_it_is_allowed_too() {
    let policy = rule(PackageManager::Pip, Install::Any, Some(&["a", "b"]), &["b"]);
    let environment = with_packages(PackageManager::Pip, &["a", "B"]);
    assert_eq!(
        broken(&policy, &environment),
        one("/config/packages/pip/1", "deny")
    );
}

#[test]
fn apt_cannot_be_led_to_a_denied_package_by_a_pattern() {
    let policy = rule(PackageManager::Apt, Install::Any, None, &["netcat"]);
    for entry in ["netcat+", "netca.", "n.tcat=1.0", "etcat+"] {
        let environment = with_packages(PackageManager::Apt, &[entry]);
        let told = broken(&policy, &environment);
        assert!(!told.is_empty(), "{entry}");
    }
    for entry in ["g++", "libstdc++6", "python3.11"] {
        assert_eq!(
            broken(&policy, &with_packages(PackageManager::Apt, &[entry])),
            [],
            "{entry}"
        );
    }
}

#[test]
fn an_entry_that_is_no_name_is_refused_under_any_rule() {
    for manager in PackageManager::ALL {
        let policy = rule(manager, Install::Any, None, &[]);
        for entry in [
            "--index-url=https://evil.example/simple",
            "-r requirements.txt",
            "git+https://evil.example/x",
            "https://evil.example/x.tgz",
            "./x",
            "x@npm:y",
            "name\n",
            " name",
            "n\u{430}me",
            "",
        ] {
            let pointer = format!("/config/packages/{manager}/0");
            let told = broken(&policy, &with_packages(manager, &[entry]));
            assert_eq!(told, one(&pointer, "form"), "{manager} {entry:?}");
        }
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

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![".{0,24}", "[-a-zA-Z0-9@/.:=_+~<>\\[\\], ]{0,24}"]
}

proptest! {
    #[test]
    fn nothing_makes_the_judge_panic(
        hosts in proptest::collection::vec(entry(), 0..4),
        packages in proptest::collection::vec(entry(), 0..4),
        manager in proptest::sample::select(PackageManager::ALL.to_vec()),
    ) {
        let networking = json!({"type": "limited", "allowed_hosts": hosts, "allow_package_managers": true});
        let config = json!({"type": "cloud", "networking": networking, "packages": {manager.name(): packages}});
        let mut policy = rule(manager, Install::Pinned, None, &[]);
        policy.allowed_hosts = Some(vec![]);
        let _ = Policy::new(&policy).judge(&environment(config));
    }

    #[test]
    fn a_name_that_equals_a_denied_one_after_normalisation_is_denied(
        denied in "[a-z][a-z0-9]{1,6}([-_.]{1,3}[a-z0-9]{1,4}){0,2}",
        capitals in any::<u32>(),
        separators in proptest::collection::vec("[-_.]{1,3}", 3),
    ) {
        let Ok(name) = PackageManager::Pip.package_name(&denied) else {
            return Ok(());
        };
        let mut separators = separators.iter();
        let spelt: String = name
            .as_str()
            .chars()
            .enumerate()
            .map(|(index, c)| match c {
                '-' => separators.next().cloned().unwrap_or("-".to_owned()),
                c if capitals >> (index % 32) & 1 == 1 => c.to_ascii_uppercase().to_string(),
                c => c.to_string(),
            })
            .collect();
        let policy = rule(PackageManager::Pip, Install::Any, None, &[&denied]);
        let told = violations(&policy, &with_packages(PackageManager::Pip, &[&spelt]));
        prop_assert_eq!(told.len(), 1, "{} for {}", spelt, denied);
    }
}
