//! What is logged is told, and changed while the gateway runs.

use serde_json::{Value, json};

use super::api::{TOKEN, expect, expect_problem, get, send, setup};
use crate::common::EXAMPLE;
use crate::common::client::Request;
use crate::common::envgate::{Envgate, eventually};

const LOG: &str = "/api/v1/log";

fn set(envgate: &Envgate, level: &str) -> Value {
    expect(
        &send(envgate, "PUT", LOG, &json!({ "level": level }).to_string()),
        200,
    )
}

#[test]
fn what_is_logged_changes_by_target_without_a_restart() {
    let envgate = setup().start();
    let told = expect(&get(&envgate, LOG), 200);
    assert_eq!(
        (&told["level"], &told["source"], &told["set_by"]),
        (&"info".into(), &"settings".into(), &Value::Null)
    );
    let told = set(&envgate, "info,envgate::access=off,envgate::store=debug");
    assert_eq!(told["source"], "admin");
    assert_eq!(told["set_by"], "admin.token");
    assert_eq!(told["settings"], "info");
    assert_eq!(told, expect(&get(&envgate, LOG), 200));
    envgate.get(EXAMPLE);
    set(&envgate, "info");
    envgate.post(EXAMPLE, r#"{"name":"n"}"#);
    envgate.expect_log("operation=\"update\"");
    assert!(
        !envgate.log().contains("operation=\"retrieve\""),
        "{}",
        envgate.log()
    );
    assert_eq!(
        expect(&get(&envgate, LOG), 200)["source"],
        "settings",
        "what they say holds again"
    );
}

#[test]
fn a_change_of_what_is_logged_is_recorded_with_who_made_it() {
    let envgate = setup().start();
    set(&envgate, "debug");
    set(&envgate, "debug");
    let records = || {
        let audit = expect(&get(&envgate, "/api/v1/audit?operation=set_log_level"), 200);
        audit["data"].as_array().unwrap().clone()
    };
    eventually("it is recorded", || !records().is_empty());
    set(&envgate, "info");
    eventually("that is, too", || records().len() >= 2);
    let records = records();
    assert_eq!(records.len(), 2, "what changed nothing is not");
    assert_eq!(records[1]["actor"], "admin.token");
    assert_eq!(
        records[1]["change"],
        json!([{ "setting": "log.level", "from": "info", "to": "debug" }])
    );
}

#[test]
fn what_is_no_level_or_would_print_credentials_is_refused() {
    let envgate = setup().start();
    for (level, expected) in [
        ("LOUD", "level: expected one of"),
        ("info,envgate", "level: expected a level or directives"),
        ("", "level: expected"),
        ("info,pingora_core=debug", "pingora_core=debug cannot be had"),
        ("h2::codec=trace", "h2::codec=trace cannot be had"),
    ] {
        let answer = send(&envgate, "PUT", LOG, &json!({ "level": level }).to_string());
        let problem = expect_problem(&answer, 400, "invalid_body");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(expected), "{level}: {detail}");
    }
    expect_problem(&send(&envgate, "PUT", LOG, "{}"), 400, "invalid_body");
    assert_eq!(expect(&get(&envgate, LOG), 200)["level"], "info");
}

#[test]
fn only_who_may_do_everything_may_change_what_is_logged() {
    let envgate = setup()
        .file("[admin.tokens.reader]\ntoken = { env = \"READER\" }\nrights = \"keys\"\n")
        .set("READER", "the-token-of-a-reader")
        .start();
    let ask = |method: &str| {
        Request::new(envgate.admin, method, LOG)
            .header("authorization", "Bearer the-token-of-a-reader")
            .header("content-type", "application/json")
            .body(r#"{"level":"debug"}"#)
            .send()
    };
    expect_problem(&ask("PUT"), 403, "right_missing");
    assert_eq!(ask("GET").status, 200);
    assert!(!envgate.log().contains(TOKEN));
}

#[test]
fn what_was_set_lasts_until_a_reload_wants_another_level() {
    let envgate = setup().file("log.level = \"info\"\n").start();
    let apply = |text: &str| {
        std::fs::write(envgate.path().join("envgate.toml"), text).unwrap();
        expect(&send(&envgate, "POST", "/api/v1/reload", ""), 200);
        expect(&get(&envgate, LOG), 200)
    };
    set(&envgate, "debug");
    let told = apply("log.level = \"info\"\nupstream.timeout = \"30s\"\n");
    assert_eq!(
        (&told["level"], &told["source"]),
        (&"debug".into(), &"admin".into())
    );
    let told = apply("log.level = \"warn\"\nupstream.timeout = \"30s\"\n");
    assert_eq!(
        (&told["level"], &told["source"]),
        (&"warn".into(), &"settings".into())
    );
}
