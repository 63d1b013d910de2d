//! What an operator sees and does, by command and by the admin API.

use serde_json::{Value, json};

use super::{PATH, changed, findings, native, of_changed, replies, upstream};
use crate::admin::api::{self, TOKEN};
use crate::common::EXAMPLE;
use crate::common::envgate::{Envgate, eventually};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};

const NEW: &str = r#"envgate_drift_findings{kind="unknown_field",state="new"}"#;

fn exit_code(envgate: &Envgate, arguments: &[&str]) -> i32 {
    envgate.run(arguments).status.code().unwrap()
}

#[test]
fn a_new_finding_fails_the_command_until_somebody_acknowledges_it() {
    let upstream = upstream(|_| changed());
    let envgate = native(&upstream).start();
    assert_eq!(exit_code(&envgate, &["drift"]), 0);
    assert_eq!(envgate.post(PATH, "{}").text(), changed());
    eventually("the store has it", || exit_code(&envgate, &["drift"]) == 1);

    let output = envgate.run(&["drift", "--json", "--operation", "update", "--state", "new"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let told: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.len(), 3, "{lines}");
    let state = told
        .iter()
        .find(|finding| finding["pointer"] == "/state")
        .unwrap();
    assert_eq!(state["example"], "\"…\"", "its value is masked");
    assert_eq!(
        (&state["reply"], &state["count"]),
        (&json!("environment"), &json!(1))
    );
    let table = String::from_utf8(envgate.run(&["drift"]).stdout).unwrap();
    assert!(table.contains("/config/packages/go is missing"), "{table}");
    assert!(
        table.contains("/state is a field that no schema names"),
        "{table}"
    );

    let id = state["id"].as_str().unwrap();
    let said = envgate.run_well(&["drift", "--acknowledge", id]);
    assert_eq!(said, "1 findings are known from now on");
    assert_eq!(exit_code(&envgate, &["drift"]), 1, "two are left");
    envgate.run_well(&["drift", "--acknowledge"]);
    assert_eq!(exit_code(&envgate, &["drift"]), 0);
    let audit = envgate.run_well(&["audit", "--operation", "acknowledge_drift", "--json"]);
    assert_eq!(audit.lines().count(), 2, "{audit}");
    assert!(audit.contains(id), "{audit}");
    // What is known stays known.
    envgate.post(PATH, "{}");
    eventually("it was counted", || findings(&envgate) == of_changed(2));
    assert_eq!(exit_code(&envgate, &["drift"]), 0);
    assert_eq!(exit_code(&envgate, &["drift", "--state", "known"]), 0);
}

#[test]
fn where_nobody_can_tell_the_command_says_so_with_a_status_of_its_own() {
    let envgate = Envgate::start();
    let nowhere =
        crate::common::envgate::Setup::new().set("ENVGATE_STORE__URL", "sqlite:/nowhere/envgate.db");
    let output = nowhere.run(&["drift"]);
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(exit_code(&envgate, &["drift", "--config", "/nowhere"]), 2);
}

#[test]
fn the_api_filters_and_acknowledges_and_the_metric_follows() {
    let upstream = upstream(|_| changed());
    let envgate = native(&upstream).set("ENVGATE_ADMIN__TOKEN", TOKEN).start();
    envgate.post(PATH, "{}");
    eventually("it was measured", || replies_with_token(&envgate) > 0.0);
    let list = |query: &str| {
        let page = api::expect(&api::get(&envgate, &format!("/api/v1/drift{query}")), 200);
        page["data"].as_array().unwrap().clone()
    };
    let all = list("?state=new&operation=update");
    assert_eq!(all.len(), 3);
    assert!(list("?operation=list").is_empty() && list("?state=known").is_empty());
    let page = api::expect(&api::get(&envgate, "/api/v1/drift?limit=2"), 200);
    let next = page["next_page"].as_str().unwrap();
    assert_eq!(list(&format!("?limit=2&page={next}")), all[2..]);
    let bad = api::get(&envgate, "/api/v1/drift?state=nwe");
    let problem = api::expect_problem(&bad, 400, "bad_query");
    assert!(
        problem["detail"].as_str().unwrap().contains("did you mean new?"),
        "{problem}"
    );

    let acknowledge =
        |body: &Value| api::send(&envgate, "POST", "/api/v1/drift/acknowledge", &body.to_string());
    for body in [
        json!({}),
        json!({"ids": []}),
        json!({"all": true, "ids": ["drf_1"]}),
        json!({"all": "yes"}),
    ] {
        assert_eq!(acknowledge(&body).status, 400, "{body}");
    }
    let id = &all[0]["id"];
    let one = api::expect(&acknowledge(&json!({ "ids": [id, "drf_none"] })), 200);
    assert_eq!(one, json!({"acknowledged": 1}));
    assert_eq!(list("?state=known").len(), 1);
    assert_eq!(
        api::expect(&acknowledge(&json!({"all": true})), 200),
        json!({"acknowledged": 2})
    );
    assert!(list("?state=new").is_empty());
    let audit = api::expect(
        &api::get(&envgate, "/api/v1/audit?operation=acknowledge_drift"),
        200,
    );
    assert_eq!(audit["data"].as_array().unwrap().len(), 2, "{audit}");
    assert_eq!(audit["data"][0]["actor"], "admin.token");
}

fn replies_with_token(envgate: &Envgate) -> f64 {
    let text = api::get(envgate, "/metrics").text();
    let measured = "envgate_drift_replies_total{result=\"measured\"} ";
    let value = text.lines().find_map(|line| line.strip_prefix(measured));
    value.unwrap().parse().unwrap()
}

#[test]
fn the_metric_says_what_is_new() {
    let upstream = upstream(|_| changed());
    let envgate = native(&upstream).start();
    envgate.post(PATH, "{}");
    eventually("the store has it", || exit_code(&envgate, &["drift"]) == 1);
    eventually("it was counted", || {
        (envgate.metric(NEW) - 1.0).abs() < f64::EPSILON
    });
}

#[test]
fn each_new_finding_is_one_line_in_the_log_across_restarts_too() {
    let upstream = upstream(|_| changed());
    let store = envgate_test_servers::temporary_directory();
    let url = format!("sqlite:{}", store.path().join("envgate.db").display());
    let mut logs = String::new();
    let mut key: Option<String> = None;
    for _ in 0..2 {
        let setup = native(&upstream).set("ENVGATE_STORE__URL", &url);
        let mut envgate = match &key {
            Some(key) => setup.start_for(key),
            None => setup.start(),
        };
        for _ in 0..3 {
            assert_eq!(envgate.post(PATH, "{}").status, 200);
        }
        key = Some(envgate.key.clone());
        // What was seen last is written at the stop.
        logs.push_str(&envgate.stop());
    }
    let lines: Vec<_> = logs
        .lines()
        .filter(|line| line.contains("differ from the contract"))
        .collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(!logs.contains("planted"), "{logs}");
    let setup = native(&upstream).set("ENVGATE_STORE__URL", &url);
    let envgate = setup.start_for(&key.unwrap());
    assert_eq!(findings(&envgate), of_changed(6));
}

#[test]
fn what_the_contract_promises_is_never_found() {
    let envgate = Envgate::start();
    for request in [
        envgate.request("GET", EXAMPLE),
        envgate.request("GET", "/v1/environments?limit=1"),
        envgate.request("GET", "/v1/environments/env_none"),
        envgate.request("POST", EXAMPLE).body(r#"{"description":"new"}"#),
        envgate
            .request("POST", EXAMPLE)
            .body(r#"{"config":{"type":"self_hosted"}}"#),
        envgate
            .request("POST", "/v1/environments")
            .body(r#"{"name":"b","config":{"type":"self_hosted"}}"#),
        envgate.request("POST", &format!("{EXAMPLE}/archive")),
        envgate
            .request("POST", EXAMPLE)
            .body(r#"{"description":"too late"}"#),
        envgate.request("DELETE", EXAMPLE),
    ] {
        request.send();
    }
    eventually("all were looked at", || replies(&envgate) >= 9.0);
    assert_eq!(findings(&envgate), []);
}

#[test]
fn an_error_that_is_none_of_the_contract_is_told_as_well_and_a_balancers_page_is_not() {
    let upstream = Upstream::start(|number, _| match number {
        0 => Then::respond(
            "400 Bad Request",
            &[("content-type", "application/json")],
            r#"{"type":"error","error":{"type":"too_odd_error","message":"planted"},"trace":"planted"}"#,
        ),
        1 => Then::respond(
            "502 Bad Gateway",
            &[("content-type", "text/html")],
            "<html>planted",
        ),
        _ => Then::respond("403 Forbidden", &[("content-type", "text/html")], "<html>planted"),
    });
    let envgate = native(&upstream).start();
    for _ in 0..3 {
        envgate.post(PATH, "{}");
    }
    eventually("all were looked at", || replies(&envgate) >= 3.0);
    let told: Vec<_> = findings(&envgate)
        .into_iter()
        .map(|(kind, pointer, ..)| (kind, pointer))
        .collect();
    let expected = [
        ("broken_rule", ""),
        ("unknown_field", "/trace"),
        ("unknown_value", "/error/type"),
    ];
    assert_eq!(
        told,
        expected.map(|(kind, pointer)| (kind.to_owned(), pointer.to_owned()))
    );
}

#[test]
fn nothing_is_looked_at_where_nobody_wants_it() {
    let upstream = upstream(|_| changed());
    let envgate = native(&upstream).set("ENVGATE_DRIFT__ENABLED", "false").start();
    envgate.post(PATH, "{}");
    assert!(replies(&envgate).abs() < f64::EPSILON);
    assert_eq!(findings(&envgate), []);
    assert!(ENVIRONMENT.len() < changed().len());
}
