use std::num::NonZeroU16;

use crate::config::load::tests::{faults, settings};
use crate::config::{Budget, DEFAULT_BUDGET};

const REMOTE: &str = "[upstream]\nurl = \"https://a.example\"\ncredential.env = \"KEY\"\n";
const KEYS: &[(&str, &str)] = &[("KEY", "sk-ant-1")];

#[test]
fn the_default_budget_is_as_published_for_anthropics_own_host_and_unlimited_elsewhere() {
    let at = |host| REMOTE.replace("a.example", host);
    for (text, expected) in [
        (&*at("api.anthropic.com"), Budget::ANTHROPIC),
        (&at("API.Anthropic.com:443/v1x"), Budget::ANTHROPIC),
        (&at("api.anthropic.com.example"), Budget::UNLIMITED),
        (&at("eu.api.anthropic.com"), Budget::UNLIMITED),
        (REMOTE, Budget::UNLIMITED),
        ("", Budget::UNLIMITED),
    ] {
        let settings = settings(text, KEYS);
        assert_eq!(settings.budgets[DEFAULT_BUDGET], expected, "{text}");
        assert_eq!(settings.upstream.budget, DEFAULT_BUDGET);
    }
}

#[test]
fn a_budget_sets_what_it_names() {
    let text = format!(
        r#"{REMOTE}
        budget = "main"
        [budgets.main]
        requests_per_minute = 300
        creates_per_minute = 10
        writes_per_minute = 40
        learn = false
        [budgets.other]
        requests_per_minute = "unlimited"
        concurrent_requests = "unlimited"
        reads_per_minute = 1200
        [credentials.second]
        key = {{ env = "KEY" }}
        budget = "other"
        [plans.default]
        requests_per_minute = 20
        concurrent_requests = 2
        weight = 3
        "#
    );
    let settings = settings(&text, KEYS);
    let main = Budget {
        requests_per_minute: Some(300),
        creates_per_minute: Some(10),
        writes_per_minute: Some(40),
        learn: false,
        ..Budget::UNLIMITED
    };
    let other = Budget {
        reads_per_minute: Some(1200),
        ..Budget::UNLIMITED
    };
    assert_eq!(
        (settings.budgets["main"], settings.budgets["other"]),
        (main, other)
    );
    assert_eq!(settings.upstream.budget, "main");
    assert_eq!(settings.credentials["second"].budget, "other");
    let plan = &settings.plans["default"];
    assert_eq!(
        (plan.requests_per_minute, plan.concurrent_requests, plan.weight),
        (Some(20), Some(2), NonZeroU16::new(3).unwrap())
    );
}

#[test]
fn an_impossible_limit_is_a_fault_with_its_place() {
    let text = r#"[budgets.default]
requests_per_minute = 0
concurrent_requests = -1
creates_per_minute = "some"
reads_per_minute = 99999999999999999999
[plans.default]
requests_per_minute = 0
concurrent_requests = 1.5
weight = 1001
"#;
    let limit = r#"expected a whole number from 1 to 1000000, or "unlimited""#;
    assert_eq!(
        faults(text, &[]),
        [
            format!("envgate.toml:2:23: budgets.default.requests_per_minute: {limit}"),
            format!("envgate.toml:3:23: budgets.default.concurrent_requests: {limit}"),
            format!("envgate.toml:4:22: budgets.default.creates_per_minute: {limit}"),
            format!("envgate.toml:5:20: budgets.default.reads_per_minute: {limit}"),
            format!("envgate.toml:7:23: plans.default.requests_per_minute: {limit}"),
            format!("envgate.toml:8:23: plans.default.concurrent_requests: {limit}"),
            "envgate.toml:9:10: plans.default.weight: expected a whole number from 1 to 1000".to_owned(),
        ]
    );
}

#[test]
fn every_credential_names_a_budget_that_there_is() {
    let text = format!(
        "{REMOTE}budget = \"mian\"\n[budgets.main]\n[credentials.second]\nkey.env = \"KEY\"\n\
         [credentials.third]\nkey.env = \"KEY\"\nbudget = \"nain\"\n"
    );
    assert_eq!(
        faults(&text, KEYS),
        [
            r#"envgate.toml:4:10: upstream.budget: there is no such table in [budgets]; did you mean "main"?"#,
            "envgate.toml:6:14: credentials.second: the budget that this credential spends is missing",
            r#"envgate.toml:10:10: credentials.third.budget: there is no such table in [budgets]; did you mean "main"?"#,
        ]
    );
}

#[test]
fn replicas_count_for_themselves_or_together_in_redis() {
    let alone = settings("", &[]).quota;
    assert_eq!((alone.replicas, alone.window.as_secs()), (1, 60));
    assert!(alone.redis.is_none());
    assert_eq!(alone.alone_for.as_secs(), 600);

    let text = "[quota]\nreplicas = 2\nredis = { env = \"REDIS\" }\nwindow = \"2s\"\nalone_for = \"30s\"\n";
    let shared = settings(text, &[("REDIS", "rediss://:secret@10.0.0.7:6380/1")]).quota;
    assert_eq!((shared.replicas, shared.window.as_secs()), (2, 2));
    assert_eq!(shared.alone_for.as_secs(), 30);
    assert_eq!(shared.redis.unwrap().reveal(), "rediss://:secret@10.0.0.7:6380/1");
    let text = "[quota]\nreplicas = 2\nredis = \"unix:///run/redis.sock\"\n";
    let shared = settings(text, &[]).quota;
    assert_eq!(shared.redis.unwrap().reveal(), "unix:///run/redis.sock");
}

#[test]
fn every_fault_of_replicas_is_told_with_its_place() {
    let remote = |text: &str| format!("{REMOTE}{text}");
    for (text, expected) in [
        (
            "[quota]\nredis = \"redis://127.0.0.1/\"\n",
            "envgate.toml:5:9: quota.redis: how many gateways spend the budgets is missing; one that Redis does not \
             answer goes by its share",
        ),
        (
            "[quota]\nreplicas = 2\nredis = \"http://127.0.0.1/\"\n",
            "envgate.toml:6:9: quota.redis: expected \"redis://\" or \"rediss://\" and a host, or \"unix://\" and the path of a socket",
        ),
        (
            "[quota]\nreplicas = 2\nredis = \"redis://127.0.0.1/cache\"\n",
            "envgate.toml:6:9: quota.redis: expected \"redis://\" or \"rediss://\" and a host, or \"unix://\" and the path of a socket",
        ),
        (
            "[quota]\nreplicas = 2\nredis = \"redis://:secret@127.0.0.1/\"\n",
            "envgate.toml:6:9: quota.redis: a secret is never written here in plain; write { env = \"NAME\" } or \
             { file = \"path\" }, or set ENVGATE_QUOTA__REDIS",
        ),
        (
            "[quota]\nreplicas = 2\nredis = \"unix://run/redis.sock\"\n",
            "envgate.toml:6:9: quota.redis: expected \"redis://\" or \"rediss://\" and a host, or \"unix://\" and the path of a socket",
        ),
        (
            "[quota]\nreplicas = 2\nredis = \"unix:///run/redis.sock?pass=secret\"\n",
            "envgate.toml:6:9: quota.redis: a secret is never written here in plain; write { env = \"NAME\" } or \
             { file = \"path\" }, or set ENVGATE_QUOTA__REDIS",
        ),
        (
            "[budgets.default]\nreads_per_minute = 5\n[quota]\nreplicas = 6\n",
            "envgate.toml:5:20: budgets.default.reads_per_minute: shared by 6 replicas this leaves nothing for one \
             that goes by its share; raise it to 6",
        ),
        (
            "[quota]\nreplicas = 2\n[budgets.default]\ncreates_per_minute = 1\n",
            "envgate.toml:7:22: budgets.default.creates_per_minute: shared by 2 replicas this leaves nothing for one \
             that goes by its share; raise it to 2",
        ),
    ] {
        assert_eq!(faults(&remote(text), KEYS), [expected]);
    }
}
