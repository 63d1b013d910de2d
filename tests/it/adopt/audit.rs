//! An adoption in the audit, and one for which nobody waits.

use std::time::Duration;

use super::{Old, STAMP, TOKEN, adopt};
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{Then, Upstream};
use serde_json::{Value, json};

fn audited(envgate: &Envgate, count: usize) -> Vec<Value> {
    let read = || {
        let audit = Request::new(envgate.admin, "GET", "/api/v1/audit?operation=adopt")
            .header("authorization", &format!("Bearer {TOKEN}"))
            .send();
        audit.json()["data"].as_array().unwrap().clone()
    };
    eventually("the adoptions are recorded", || read().len() >= count);
    let records = read();
    assert_eq!(records.len(), count, "{records:#?}");
    records
}

#[test]
fn an_adoption_and_its_refusal_are_in_the_audit() {
    let old = Old::start(&[("env_1", &[("team", "s3cret")]), ("env_2", &[(STAMP, "ten_2")])]);
    let envgate = old.setup().start();
    let demo = ["--tenant", "demo"];
    adopt(
        &envgate,
        TOKEN,
        &[&demo[..], &["env_1", "env_2", "env_absent"]].concat(),
    );
    // The second time nothing is written.
    adopt(&envgate, TOKEN, &[&demo[..], &["env_1"]].concat());
    adopt(&envgate, TOKEN, &[&demo[..], &["--force", "env_2"]].concat());
    let records = audited(&envgate, 4);
    let told = |record: &Value| {
        assert_eq!(record["tenant"]["name"], "demo", "{record}");
        assert_eq!(record["key"], "(the operator)", "{record}");
        assert_eq!(record["actor"], "admin.token", "{record}");
        assert_eq!(record["client_address"], "127.0.0.1", "{record}");
        assert_eq!(record["status"], Value::Null, "{record}");
        assert!(record["request_id"].as_str().unwrap().starts_with("req_"));
        json!([record["environment"], record["outcome"], record["error"]])
    };
    assert_eq!(
        records.iter().map(told).collect::<Vec<_>>(),
        [
            json!(["env_2", "ok", null]),
            json!(["env_absent", "refused", "environment_not_found"]),
            json!(["env_2", "refused", "another_tenants"]),
            json!(["env_1", "ok", null]),
        ]
    );
    let path = format!("/metadata/{STAMP}");
    assert_eq!(
        records[3]["change"],
        json!([{"op": "add", "path": path, "value": "***"}])
    );
    assert_eq!(
        records[0]["change"],
        json!([
            {"op": "test", "path": path, "value": "***"},
            {"op": "replace", "path": path, "value": "***"},
        ]),
        "it was another's"
    );
}

#[test]
fn an_adoption_is_finished_although_nobody_waits_for_it_any_more() {
    let environment = |metadata| json!({"id": "env_1", "type": "environment", "metadata": metadata});
    let upstream = Upstream::start(move |_, seen| {
        if seen.line.starts_with("GET") {
            return Then::respond("200 OK", &[], &environment(json!({})).to_string());
        }
        let sent: Value = serde_json::from_slice(&seen.body).unwrap();
        let Then::Reply(reply) =
            Then::respond("200 OK", &[], &environment(sent["metadata"].clone()).to_string())
        else {
            unreachable!()
        };
        Then::Late(Duration::from_millis(500), reply)
    });
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_ADMIN__TOKEN", TOKEN)
        .start();
    let mut connection = Connection::open(envgate.admin);
    let request = Request::new(envgate.admin, "POST", "/api/v1/tenants/demo/environments")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .body(r#"{"environments":["env_1"]}"#);
    connection.write(&request.bytes());
    eventually("the update went up", || upstream.seen().len() == 2);
    drop(connection);
    assert_eq!(audited(&envgate, 1)[0]["outcome"], "ok");
}
