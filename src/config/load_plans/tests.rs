use std::fs;

use crate::config::load::tests::{faults, settings};
use crate::config::{DEFAULT_PLAN, Install, SETTINGS, SettingDoc};
use crate::contract::{Operation, Rule, Strictness};
use crate::environment::{HostPattern, PackageManager, Scope};

const UPSTREAM: &str = "[upstream]\nurl = \"https://a.example\"\ncredential.env = \"KEY\"\n";
const KEYS: &[(&str, &str)] = &[("KEY", "sk-ant-1"), ("OTHER", "sk-ant-2")];

#[test]
fn the_default_plan_is_there_even_when_none_is_written() {
    for text in ["", "[plans]", "[plans.gold]", "[plans.default]"] {
        let settings = settings(&format!("contract.unknown_field = \"warn\"\n{text}"), &[]);
        let plan = &settings.plans[DEFAULT_PLAN];
        assert_eq!(plan.operations, Operation::ALL, "{text}");
        assert_eq!(plan.strictness.unknown_field, Rule::Warn, "as in [contract]");
        assert!(plan.policy.is_none() && plan.credential.is_none() && plan.workspace_id.is_none());
    }
}

#[test]
fn a_plan_sets_what_it_names_and_takes_the_rest_from_the_contract() {
    let text = format!(
        r#"{UPSTREAM}
        [contract]
        dialect = "anthropic"
        host_format = "warn"
        [credentials.second]
        key = {{ env = "OTHER" }}
        budget = "default"
        [plans.gold]
        operations = ["list", "retrieve"]
        unknown_field = "allow"
        dialect = "sandbase"
        workspace_id = "wrkspc_1"
        credential = "second"
        [plans."sil-ver_2"]
        "#
    );
    let settings = settings(&text, KEYS);
    assert_eq!(settings.credentials["second"].key.reveal(), "sk-ant-2");
    let gold = &settings.plans["gold"];
    assert_eq!(gold.operations, [Operation::List, Operation::Retrieve]);
    assert_eq!(gold.dialect.name, "sandbase");
    assert_eq!(
        gold.strictness,
        Strictness {
            unknown_field: Rule::Allow,
            host_format: Rule::Warn
        }
    );
    assert_eq!(gold.workspace_id.as_ref().unwrap(), "wrkspc_1");
    assert_eq!(gold.credential.as_deref(), Some("second"));
    assert_eq!(settings.plans["sil-ver_2"].dialect.name, "anthropic");
    assert_eq!(settings.plans.len(), 3, "and the default one");
}

#[test]
fn a_policy_is_read_with_its_names_in_normal_form() {
    let settings = settings(
        r#"
        [plans.gold.policy]
        networking = "limited"
        allowed_hosts = ["*.Example.com"]
        package_managers = false
        mcp_servers = false
        config_types = ["cloud"]
        scopes = ["account"]
        packages.pip = { install = "pinned", allow = ["Scikit_Learn"], deny = [] }
        packages.apt.install = "off"
        [plans.gold.policy.packages.go]
        "#,
        &[],
    );
    let policy = settings.plans["gold"].policy.as_ref().unwrap();
    assert!(policy.needs_limited_network && !policy.allows_package_managers && !policy.allows_mcp_servers);
    assert_eq!(
        policy.allowed_hosts.as_deref(),
        Some(&[HostPattern::parse("*.example.com").unwrap()][..])
    );
    assert_eq!(policy.config_types.as_deref(), Some(&["cloud"][..]));
    assert_eq!(policy.scopes.as_deref(), Some(&[Scope::Account][..]));
    let pip = &policy.packages[&PackageManager::Pip];
    assert_eq!(pip.install, Install::Pinned);
    let allowed: Vec<_> = pip
        .allow
        .as_ref()
        .unwrap()
        .iter()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(allowed, ["scikit-learn"]);
    assert_eq!(policy.packages[&PackageManager::Apt].install, Install::Off);
    assert_eq!(
        policy.packages[&PackageManager::Go].install,
        Install::Any,
        "an empty table asks for the manager's form alone"
    );
    assert_eq!(policy.packages.len(), 3);
}

#[test]
fn an_empty_policy_asks_for_nothing_and_is_there() {
    let settings = settings("[plans.gold.policy]\n[plans.silver]\n", &[]);
    let policy = settings.plans["gold"].policy.as_ref().unwrap();
    assert!(!policy.needs_limited_network && policy.allows_mcp_servers && policy.packages.is_empty());
    assert!(settings.plans["silver"].policy.is_none());
}

#[test]
fn every_fault_of_a_plan_is_told_with_its_place_and_the_nearest_name() {
    let text = r#"[plans.gold]
operations = ["list", "updat", 7]
unknwon_field = "warn"
dialect = "native"
workspace_id = "a b"
credential = "secnd"
requests_per_hour = 60
[plans.gold.polcy]
[plans."no name"]
[plans]
silver = 7
[credentials.second]
[credentials.plain]
key = "hunter2"
[plans.gold.policy]
allowed_hosts = ["a.com", "https://b.com"]
scopes = "account"
networking = "unrestricted"
[plans.gold.policy.packages.pipp]
[plans.gold.policy.packages.pip]
install = "pined"
allow = ["pandas==2"]
denny = []
"#;
    assert_eq!(
        faults(text, &[]),
        [
            "envgate.toml:2:23: plans.gold.operations: expected one of \"create\", \"list\", \"retrieve\", \"update\", \"delete\", \"archive\"; did you mean \"update\"?",
            "envgate.toml:2:32: plans.gold.operations: expected a string, found an integer",
            "envgate.toml:3:1: plans.gold.unknwon_field: unknown setting; did you mean \"unknown_field\"?",
            "envgate.toml:4:11: plans.gold.dialect: expected one of \"sandbase\", \"anthropic\"",
            "envgate.toml:5:16: plans.gold.workspace_id: expected 1 to 128 visible ASCII characters without spaces",
            "envgate.toml:6:14: plans.gold.credential: there is no such table in [credentials]; did you mean \"second\"?",
            "envgate.toml:7:1: plans.gold.requests_per_hour: unknown setting; did you mean \"requests_per_minute\"?",
            "envgate.toml:8:13: plans.gold.polcy: unknown setting; did you mean \"policy\"?",
            "envgate.toml:9:8: plans.\"no name\": a name here has 1 to 64 characters of A-Z, a-z, 0-9, _ and -",
            "envgate.toml:11:1: plans.silver: expected a table, found an integer",
            "envgate.toml:12:14: credentials.second: the key of this credential is missing",
            "envgate.toml:12:14: credentials.second: the budget that this credential spends is missing",
            "envgate.toml:13:14: credentials.plain: the budget that this credential spends is missing",
            "envgate.toml:14:7: credentials.plain.key: a secret is never written here in plain; write { env = \"NAME\" } or { file = \"path\" }",
            "envgate.toml:16:27: plans.gold.policy.allowed_hosts: expected a bare host name, such as \"api.example.com\" or \"*.example.com\"",
            "envgate.toml:17:10: plans.gold.policy.scopes: expected an array, found a string",
            "envgate.toml:18:14: plans.gold.policy.networking: expected one of \"any\", \"limited\"",
            "envgate.toml:19:29: plans.gold.policy.packages.pipp: unknown setting; did you mean \"pip\"?",
            "envgate.toml:21:11: plans.gold.policy.packages.pip.install: expected one of \"any\", \"pinned\", \"off\"; did you mean \"pinned\"?",
            "envgate.toml:22:10: plans.gold.policy.packages.pip.allow: expected the name of a package of pip, without a version",
            "envgate.toml:23:1: plans.gold.policy.packages.pip.denny: unknown setting; did you mean \"deny\"?",
        ]
    );
}

#[test]
fn plans_are_set_in_the_file_only() {
    assert_eq!(
        faults("", &[("ENVGATE_PLANS__GOLD__OPERATIONS", "list")]),
        [
            "ENVGATE_PLANS__GOLD__OPERATIONS: [plans] is set in the file only: a variable could not tell its names apart by case"
        ]
    );
    let text = format!(
        "{UPSTREAM}credentials.second = {{ key.env = \"ENVGATE_CREDENTIALS__SECOND\", budget = \"default\" }}"
    )
    .replace("credentials.second", "[credentials]\nsecond");
    let mut keys = KEYS.to_vec();
    keys.push(("ENVGATE_CREDENTIALS__SECOND", "sk-ant-3"));
    assert_eq!(
        settings(&text, &keys).credentials["second"].key.reveal(),
        "sk-ant-3",
        "a secret may be in a variable with our prefix"
    );
}

#[test]
fn a_credential_of_a_plan_is_for_an_upstream_that_is_named() {
    let text = "credentials.second = { key.env = \"OTHER\", budget = \"default\" }\nplans.gold.credential = \"second\"\n";
    assert_eq!(
        faults(text, KEYS),
        ["envgate.toml:2:25: plans.gold.credential: there is a credential and upstream.url is missing"]
    );
}

#[test]
fn the_example_shows_every_setting_of_plans() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/plans.toml");
    let example = fs::read_to_string(path).unwrap();
    let of_plans = |setting: &&SettingDoc| setting.variable().is_none() && setting.table() != "admin";
    for setting in SETTINGS.iter().filter(of_plans) {
        let key = setting.path.rsplit('.').next().unwrap();
        let is_shown = example
            .lines()
            .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")));
        assert!(is_shown, "{} is missing", setting.path);
    }
}

#[test]
fn a_preset_settles_its_rules_and_what_stands_beside_it_only_narrows() {
    let policy = |text: &str| {
        let settings = settings(&format!("[plans.gold.policy]\npreset = \"locked\"\n{text}"), &[]);
        settings.plans["gold"].policy.clone().unwrap()
    };
    let bare = policy("");
    assert!(bare.needs_limited_network && bare.needs_public_hosts);
    assert!(!bare.allows_package_managers && !bare.allows_mcp_servers);
    assert_eq!(bare.allowed_hosts, Some(vec![]), "of a list, which is empty");
    let same = policy(
        "networking = \"limited\"\nhosts = \"public\"\nmcp_servers = false\nallowed_hosts = [\"a.com\"]",
    );
    assert_eq!(same.allowed_hosts.unwrap().len(), 1);
    for (wider, location) in [
        ("networking = \"any\"", "3:14: plans.gold.policy.networking"),
        ("hosts = \"any\"", "3:9: plans.gold.policy.hosts"),
        (
            "package_managers = true",
            "3:20: plans.gold.policy.package_managers",
        ),
        ("mcp_servers = true", "3:15: plans.gold.policy.mcp_servers"),
        (
            "config_types = [\"self_hosted\"]",
            "3:17: plans.gold.policy.config_types",
        ),
    ] {
        assert_eq!(
            faults(&format!("[plans.gold.policy]\npreset = \"locked\"\n{wider}"), &[]),
            [format!(
                "envgate.toml:{location}: policy.preset = \"locked\" does not allow that, and a rule beside it only narrows"
            )]
        );
    }
}

#[test]
fn a_policy_of_public_hosts_lists_no_other() {
    assert_eq!(
        faults(
            "[plans.gold.policy]\nhosts = \"public\"\nallowed_hosts = [\"a.com\", \"10.0.0.1\", \"db.internal\"]",
            &[]
        ),
        ["3:27", "3:39"].map(|place| format!(
            "envgate.toml:{place}: plans.gold.policy.allowed_hosts: this is no name on the public internet, and the policy \
             allows no other"
        ))
    );
}

#[test]
fn a_policy_that_names_hosts_and_lets_package_managers_through_is_advised_against() {
    let advice = |text: &str| settings(&format!("[plans.gold.policy]\n{text}"), &[]).advice();
    let [only] = &advice("allowed_hosts = [\"a.com\"]")[..] else {
        panic!("one sentence");
    };
    assert!(only.starts_with("plans.gold.policy names hosts"), "{only}");
    assert!(advice("allowed_hosts = [\"a.com\"]\npackage_managers = false").is_empty());
    assert!(advice("networking = \"limited\"").is_empty());
    assert!(advice("preset = \"locked\"").is_empty());
}
