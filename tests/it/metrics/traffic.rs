//! `GET /api/v1/traffic`: what an operator sees who looks at one gateway.

use serde_json::{Value, json};

use super::WRONG;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{Gate, Then, Upstream};
use crate::reload;

fn traffic(envgate: &Envgate) -> Value {
    let answer = envgate.admin_get("/api/v1/traffic");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn it_tells_who_asks_for_what_what_is_refused_and_what_was_slow() {
    let envgate = Envgate::start();
    assert_eq!(envgate.get("/v1/environments").status, 200);
    assert_eq!(envgate.post("/v1/environments/env_1", WRONG).status, 400);
    let nobody = Request::new(envgate.gateway, "GET", "/v1/environments").header("x-api-key", "sk-eg-nobody");
    assert_eq!(nobody.send().status, 401);
    eventually("all are counted", || traffic(&envgate)["requests"]["total"] == 3);

    let told = traffic(&envgate);
    assert!(
        told["requests"]["per_second_60s"].as_f64().unwrap() > 0.0,
        "{told}"
    );
    assert_eq!(told["tenants_seen"], 1);
    let tenant = &told["tenants"][0];
    assert_eq!(
        (
            &tenant["tenant"],
            &tenant["requests"],
            &tenant["refused"],
            &tenant["failed"],
            &tenant["waiting"]
        ),
        (&json!("demo"), &json!(2), &json!(1), &json!(0), &json!(0))
    );
    let refusals = told["refusals"].as_array().unwrap();
    let mut kinds: Vec<_> = refusals
        .iter()
        .map(|refusal| refusal["error"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["schema_violation", "unauthenticated"]);
    assert!(refusals[0]["per_second_10s"].as_f64().unwrap() > 0.0);

    let slowest = told["slowest"].as_array().unwrap();
    let list = slowest
        .iter()
        .find(|slow| slow["operation"] == "list" && slow["status"] == 200)
        .unwrap();
    assert_eq!((&list["tenant"], &list["error"]), (&json!("demo"), &Value::Null));
    assert!(list["request_id"].as_str().unwrap().starts_with("req_"), "{list}");
    assert_eq!(list["trace_id"].as_str().unwrap().len(), 32);
    let steps = list["steps_ms"].as_object().unwrap();
    assert_eq!(steps.len(), 6);
    let sum: f64 = steps.values().map(|step| step.as_f64().unwrap()).sum();
    assert!(
        (sum - list["duration_ms"].as_f64().unwrap()).abs() < 0.01,
        "{list}"
    );
}

#[test]
fn it_tells_who_waits_and_how_the_budget_stands() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let settings = "[budgets.default]\nconcurrent_requests = 1\nwrites_per_minute = 50\n";
    let envgate = Setup::new().upstream(upstream.address).file(settings).start();
    let ask = |id: &str| {
        let mut connection = Connection::open(envgate.gateway);
        connection.write(&envgate.request("GET", &format!("/v1/environments/{id}")).bytes());
        connection
    };
    let mut waiting: Vec<_> = ["env_1", "env_2", "env_3"].map(ask).into();
    eventually("two wait", || traffic(&envgate)["tenants"][0]["waiting"] == 2);
    let told = traffic(&envgate);
    let budget = &told["budgets"][0];
    assert_eq!(
        (&budget["budget"], &budget["in_flight"], &budget["queued"]),
        (&json!("default"), &json!(1), &json!(2))
    );
    assert_eq!(budget["limits"], json!({"concurrent": 1, "writes": 50}));
    assert_eq!(
        (&budget["learned"], &budget["remaining"]),
        (&json!({}), &Value::Null)
    );
    assert_eq!(told["requests"]["in_flight"], 3);
    gate.open();
    for connection in &mut waiting {
        assert_eq!(connection.read_response().status, 200);
    }
    eventually("nobody waits", || traffic(&envgate)["tenants"][0]["waiting"] == 0);
}

#[test]
fn its_parameters_are_read_strictly_and_it_needs_the_right_to_read() {
    let envgate = Envgate::start();
    for (query, status) in [
        ("limit=1&order=waiting", 200),
        ("order=refused", 200),
        ("limit=0", 400),
        ("limit=1001", 400),
        ("order=name", 400),
        ("page=1", 400),
    ] {
        let answer = envgate.admin_get(&format!("/api/v1/traffic?{query}"));
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
    }
    let guarded = reload::setup("").start();
    assert_eq!(guarded.admin_get("/api/v1/traffic").status, 401);
}

#[test]
fn what_was_slow_is_without_what_the_client_took() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let envgate = Envgate::in_front_of(upstream.address);
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
    eventually("it is in flight", || !upstream.seen().is_empty());
    crate::common::envgate::pause(std::time::Duration::from_millis(300));
    gate.open();
    assert_eq!(connection.read_response().status, 200);
    eventually("it is kept", || {
        let told = traffic(&envgate);
        told["slowest"][0]["steps_ms"]["upstream"]
            .as_f64()
            .is_some_and(|upstream| upstream >= 300.0)
    });
}
