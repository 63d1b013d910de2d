//! The audit tells which settings went over to which, and who had them read.

use serde_json::{Value, json};

use super::{APPLIED, TOKEN, apply, reload, setup, write};
use crate::common::client::Request;
use crate::common::envgate::{Envgate, eventually};

fn records(envgate: &Envgate) -> Vec<Value> {
    let audit = Request::new(envgate.admin, "GET", "/api/v1/audit?operation=reload")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .send();
    let mut records = audit.json()["data"].as_array().unwrap().clone();
    records.reverse();
    records
}

#[test]
fn a_changed_plan_is_in_the_audit_with_who_had_it_read() {
    let envgate = setup("[plans.gold]\nrequests_per_minute = 5\n").start();
    apply(&envgate, "[plans.gold]\nrequests_per_minute = 7\n");
    write(&envgate, "[plans.gold]\nrequests_per_minute = 0\n");
    assert_eq!(reload(&envgate).status, 400, "which leaves no record");
    write(&envgate, "[plans.gold]\nrequests_per_minute = 9\n");
    envgate.signal("HUP");
    envgate.expect_metric(APPLIED, 2.0);
    eventually("both are recorded", || records(&envgate).len() >= 2);
    let told: Vec<_> = records(&envgate)
        .iter()
        .map(|record| {
            let [who, from] = ["actor", "client_address"].map(|name| record[name].clone());
            json!([who, from, record["tenant"], record["outcome"], record["change"]])
        })
        .collect();
    let changed = |from: &str, to: &str| json!([{ "setting": "plans.gold.requests_per_minute", "from": from, "to": to }]);
    assert_eq!(
        told,
        [
            json!(["admin.token", "127.0.0.1", null, "ok", changed("5", "7")]),
            json!(["SIGHUP", null, null, "ok", changed("7", "9")]),
        ]
    );
}

#[test]
fn tokens_and_their_rights_are_those_of_the_settings_in_force() {
    let with = |rights: &str| {
        format!("[admin.tokens.ci]\ntoken = {{ file = \"ci.token\" }}\nrights = \"{rights}\"\n")
    };
    let setup = setup(&with("read"));
    std::fs::write(setup.path().join("ci.token"), "the-first-token-of-ci").unwrap();
    let envgate = setup.start();
    let create = |token: &str| {
        let request = Request::new(envgate.admin, "POST", "/api/v1/tenants/demo/keys");
        request
            .header("authorization", &format!("Bearer {token}"))
            .send()
            .status
    };
    assert_eq!(create("the-first-token-of-ci"), 403);
    apply(&envgate, &with("keys"));
    assert_eq!(create("the-first-token-of-ci"), 201);
    std::fs::write(envgate.path().join("ci.token"), "the-second-token-of-ci").unwrap();
    assert_eq!(reload(&envgate).status, 200);
    assert_eq!(create("the-first-token-of-ci"), 401);
    assert_eq!(create("the-second-token-of-ci"), 201);
    let is_of_token = |record: &Value| record["change"][0]["setting"] == "admin.tokens.ci.token";
    eventually("it is recorded", || records(&envgate).iter().any(is_of_token));
    let told = json!(records(&envgate)).to_string();
    assert!(!told.contains("token-of-ci"), "{told}");
}
