//! What a reload answers, and what it leaves alone.

use std::process::Output;

use serde_json::json;

use super::{APPLIED, REFUSED, UNCHANGED, apply, in_front_of, preview, reload, setup, write};
use crate::common::client::Request;
use crate::common::envgate::Envgate;
use crate::common::upstream::{Then, Upstream};

#[test]
fn what_changed_is_told_by_name_and_in_force_at_once() {
    let envgate = setup("listen.max_body_bytes = 4096\n").start();
    let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(2000));
    assert_ne!(envgate.post("/v1/environments", &body).status, 413);

    let told = apply(
        &envgate,
        "listen.max_body_bytes = 1024\n[plans.gold]\nweight = 2\n",
    );
    assert_eq!(
        told["changed"],
        json!(["listen.max_body_bytes", "plans.gold", "plans.gold.weight"])
    );
    assert_eq!(told["needs_restart"], json!([]));
    assert_eq!(
        told["changes"][0],
        json!({ "setting": "listen.max_body_bytes", "from": "4096", "to": "1024" })
    );
    assert_eq!(envgate.post("/v1/environments", &body).status, 413);
    let plan = Request::new(envgate.admin, "GET", "/api/v1/plans/gold")
        .header("authorization", &format!("Bearer {}", super::TOKEN))
        .send();
    assert_eq!(plan.json()["weight"], 2, "the admin API goes by them too");

    let again = reload(&envgate).json();
    assert_eq!(again["outcome"], "unchanged");
    envgate.expect_metric(APPLIED, 1.0);
    envgate.expect_metric(UNCHANGED, 1.0);
    envgate.expect_log("the settings were read again");
}

#[test]
fn wrong_settings_are_refused_whole_with_every_fault() {
    let envgate = setup("listen.max_body_bytes = 4096\n").start();
    write(
        &envgate,
        "listen.max_body_bytes = 2048\n[upstream]\ntiemout = \"5s\"\n[plans.gold]\nweight = 0\n",
    );
    let answer = reload(&envgate);
    assert_eq!(answer.status, 400, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["code"], "invalid_settings");
    let faults: Vec<_> = told["errors"].as_array().unwrap().iter().collect();
    assert_eq!(faults.len(), 2, "{told}");
    let first = faults[0]["detail"].as_str().unwrap();
    assert!(
        first.contains("envgate.toml:3:1: upstream.tiemout") && first.contains("timeout"),
        "{first}"
    );

    let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(3000));
    assert_ne!(
        envgate.post("/v1/environments", &body).status,
        413,
        "nothing of it is in force"
    );
    envgate.expect_metric(REFUSED, 1.0);
    envgate.expect_log("upstream.tiemout");

    std::fs::remove_file(envgate.path().join("envgate.toml")).unwrap();
    let answer = reload(&envgate);
    assert_eq!(answer.status, 400, "a file that vanished");
    assert!(
        answer.text().contains("envgate.toml: cannot be read"),
        "{}",
        answer.text()
    );
    write(&envgate, "listen.max_body_bytes = 2");
    assert_eq!(reload(&envgate).status, 400, "half a file");
    assert_ne!(envgate.post("/v1/environments", &body).status, 413);
    assert_eq!(envgate.admin_get("/readyz").status, 200);
}

#[test]
fn what_needs_a_restart_is_told_each_time_and_the_rest_is_taken_over() {
    let envgate = setup("upstream.timeout = \"20s\"\n").start();
    let told = apply(
        &envgate,
        "upstream.timeout = \"5s\"\nownership.stamp_key = \"other\"\nquota.replicas = 2\n",
    );
    assert_eq!(told["changed"], json!(["upstream.timeout"]));
    assert_eq!(
        told["needs_restart"],
        json!(["ownership.stamp_key", "quota.replicas"])
    );
    let again = reload(&envgate).json();
    assert_eq!(again["outcome"], "unchanged");
    assert_eq!(again["needs_restart"], told["needs_restart"]);
}

#[test]
fn nobody_reloads_without_the_token_and_the_preview_changes_nothing() {
    let envgate = setup("upstream.timeout = \"20s\"\n").start();
    for method in ["GET", "POST"] {
        assert_eq!(
            Request::new(envgate.admin, method, "/api/v1/reload")
                .send()
                .status,
            401
        );
    }
    write(&envgate, "upstream.timeout = \"5s\"\n");
    for _ in 0..2 {
        let told = preview(&envgate).json();
        assert_eq!(told["outcome"], "pending");
        assert_eq!(told["changed"], json!(["upstream.timeout"]));
    }
    assert_eq!(envgate.metric(APPLIED), 0.0);
    write(&envgate, "upstream.timeout = 5\n");
    assert_eq!(preview(&envgate).status, 400);
    assert_eq!(envgate.metric(REFUSED), 0.0, "it was only asked about");
}

fn check(envgate: &Envgate) -> (Option<i32>, String, String) {
    let url = format!("http://{}", envgate.admin);
    let Output {
        status,
        stdout,
        stderr,
    } = envgate.run(&["check", "--against-running", "--admin", &url]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn check_tells_what_a_reload_of_the_running_gateway_would_change_and_no_secret() {
    let upstream = Upstream::always(Then::environment());
    let settings = |timeout: &str, stamp: &str, key: &str| {
        format!(
            "upstream.timeout = \"{timeout}\"\nownership.stamp_key = \"{stamp}\"\n[credentials.other]\n\
             key = {{ file = \"{key}\" }}\nbudget = \"default\"\n"
        )
    };
    let setup = in_front_of(&upstream, &settings("20s", "one", "first"));
    for (file, key) in [("first", "sk-first-secret"), ("second", "sk-second-secret")] {
        std::fs::write(setup.path().join(file), key).unwrap();
    }
    let envgate = setup.start();
    let (code, out, err) = check(&envgate);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("a reload of the running gateway would change nothing"),
        "{out}"
    );

    write(&envgate, &settings("5s", "two", "second"));
    let (code, out, err) = check(&envgate);
    assert_eq!(code, Some(0), "{err}");
    for line in [
        r#"a reload would change upstream.timeout from "20s" to "5s""#,
        "a reload would change credentials.other.key from \"{ file = first }\" to \"{ file = second }\"",
        r#"a restart would change ownership.stamp_key from "one" to "two""#,
    ] {
        assert!(out.lines().any(|told| told == line), "{line} in {out}");
    }
    assert!(!out.contains("-secret") && !err.contains("-secret"), "{out}{err}");
    assert_eq!(reload(&envgate).json()["outcome"], "applied", "it was not before");
}

#[test]
fn going_over_to_another_sort_of_upstream_is_refused() {
    let envgate = setup("").start();
    write(
        &envgate,
        "upstream.url = \"https://api.anthropic.com\"\nupstream.credential = { file = \"key\" }\n",
    );
    std::fs::write(envgate.path().join("key"), "sk-ant-key").unwrap();
    let answer = reload(&envgate);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("needs a restart"), "{}", answer.text());
}
