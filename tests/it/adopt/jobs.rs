//! An adoption of many environments that are slow: it tells how far it is, and has an end.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{TOKEN, adopt, outcomes, text};
use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup, eventually, pause};
use crate::common::upstream::{Seen, Then, Upstream};

const STOPPED_WITHIN: Duration = Duration::from_secs(40);
/// Longer than any test, and than a gateway that stops has patience.
const FOR_EVER: Duration = Duration::from_secs(120);

/// An upstream with every environment that is asked for, whose requests `is_held` hang.
fn upstream(is_held: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Upstream {
    let metadata = Arc::new(Mutex::new(std::collections::BTreeMap::<String, Value>::new()));
    Upstream::start(move |_, seen| {
        if is_held(seen) {
            return Then::Hang(FOR_EVER);
        }
        let id = seen.line.split([' ', '/']).nth(4).unwrap().to_owned();
        let mut metadata = metadata.lock();
        let stored = metadata.entry(id.clone()).or_insert_with(|| json!({}));
        if seen.line.starts_with("POST") {
            *stored = serde_json::from_slice::<Value>(&seen.body).unwrap()["metadata"].clone();
        }
        let body = json!({"id": id, "type": "environment", "name": id, "metadata": stored});
        Then::respond(
            "200 OK",
            &[("content-type", "application/json")],
            &body.to_string(),
        )
    })
}

fn setup(upstream: &Upstream) -> Setup {
    Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_ADMIN__TOKEN", TOKEN)
}

fn start_job(envgate: &Envgate, ids: &[&str]) -> Response {
    Request::new(envgate.admin, "POST", "/api/v1/tenants/demo/environments")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .body(json!({ "environments": ids }).to_string())
        .send()
}

fn job(envgate: &Envgate, path: &str) -> Value {
    let request = Request::new(envgate.admin, "GET", path);
    request
        .header("authorization", &format!("Bearer {TOKEN}"))
        .send()
        .json()
}

#[test]
fn a_slow_adoption_tells_how_far_it_is_and_keeps_no_other_environment_waiting() {
    let upstream = upstream(|seen| seen.line.contains("env_slow"));
    let envgate = setup(&upstream).set("ENVGATE_UPSTREAM__TIMEOUT", "12s").start();
    let begun = start_job(&envgate, &["env_1", "env_slow", "env_2"]);
    assert_eq!(begun.status, 202, "{}", begun.text());
    let path = begun.header("location").unwrap().to_owned();
    let running = begun.json();
    assert_eq!(running["status"], "running");
    assert_eq!(running["total"], 3);
    assert_eq!(running["data"][0], json!({"id": "env_1", "outcome": "adopted"}));

    let another = start_job(&envgate, &["env_3"]);
    assert_eq!(another.status, 200, "{}", another.text());
    assert_eq!(
        another.json()["data"][0]["outcome"],
        "adopted",
        "beside the slow one"
    );

    eventually("those after the slow one are done", || {
        job(&envgate, &path)["done"] == 2
    });
    // The slow one has the time that every request to the upstream has.
    while job(&envgate, &path)["status"] == "running" {
        pause(Duration::from_millis(100));
    }
    let finished = job(&envgate, &path);
    assert_eq!(finished["done"], 3);
    let outcomes: Vec<_> = finished["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["outcome"])
        .collect();
    assert_eq!(
        outcomes,
        ["adopted", "refused", "adopted"],
        "in the order that was asked for"
    );
    assert_eq!(
        job(&envgate, "/api/v1/adoptions/adp_nobody")["code"],
        "adoption_not_found"
    );
}

#[test]
fn an_adoption_ends_when_its_time_is_up_and_says_what_it_has_not_come_to() {
    let upstream = upstream(|seen| seen.line.contains("env_slow"));
    let envgate = setup(&upstream)
        .set("ENVGATE_UPSTREAM__TIMEOUT", "8s")
        .set("ENVGATE_OWNERSHIP__ADOPTION_TIMEOUT", "1s")
        .start();
    let output = adopt(
        &envgate,
        TOKEN,
        &["--tenant", "demo", "env_1", "env_slow", "env_2"],
    );
    assert_eq!(output.status.code(), Some(1));
    let progress = text(&output.stderr);
    assert!(progress.contains("1 of 3 environments are done"), "{progress}");
    let outcomes = outcomes(&output);
    assert_eq!(outcomes["env_1"], "adopted");
    assert!(outcomes["env_2"].contains("no time left"), "{outcomes:?}");
    assert!(upstream.seen().iter().all(|seen| !seen.line.contains("env_2")));
}

#[test]
fn a_stop_during_an_adoption_leaves_no_stamp_without_a_record() {
    let upstream = upstream(|seen| seen.line.starts_with("POST") && seen.line.contains("env_slow"));
    let setup = setup(&upstream);
    let store = format!("sqlite:{}", setup.path().join("envgate.db").display());
    let mut envgate = setup.start();
    let admin = envgate.admin;
    let asking = std::thread::spawn(move || {
        let request = Request::new(admin, "POST", "/api/v1/tenants/demo/environments")
            .header("authorization", &format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .body(json!({ "environments": ["env_1", "env_slow", "env_2"] }).to_string());
        request.send()
    });
    eventually("the stamp of the slow one went up", || {
        let seen = upstream.seen();
        seen.iter()
            .any(|seen| seen.line.starts_with("POST") && seen.line.contains("env_slow"))
    });
    envgate.signal("TERM");
    envgate.expect_log("stopping");
    envgate.signal("TERM");
    assert_eq!(
        envgate.wait(STOPPED_WITHIN).code(),
        Some(130),
        "{}",
        envgate.log()
    );
    asking.join().unwrap();
    let records = crate::stopping::read(&store);
    let records: Vec<_> = records
        .iter()
        .rev()
        // The others are of the tenant and its key.
        .filter_map(|record| {
            let environment = record.environment.as_deref()?;
            Some((environment, &*record.outcome, record.error.as_deref()))
        })
        .collect();
    assert_eq!(
        records[..2],
        [("env_1", "ok", None), ("env_slow", "unknown", Some("cut_off"))]
    );
    let stamped = upstream
        .seen()
        .iter()
        .filter(|seen| seen.line.starts_with("POST"))
        .count();
    assert_eq!(records.len(), stamped, "{records:?}");
}
