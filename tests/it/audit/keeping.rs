//! Where records are kept, for how long, and what happens when they cannot be.

use std::time::Duration;

use super::{Audited, read, sqlite};
use crate::common::EXAMPLE;
use crate::common::envgate::{Setup, eventually, pause};
use crate::common::upstream::{Then, Upstream};
use envgate::store::{AuditRecord, AuditTenant, Store};
use envgate_test_servers::postgres::Server;

#[test]
fn while_the_store_is_away_writes_go_on_and_are_recorded_when_it_is_back() {
    let mut database = Server::start();
    let upstream = Upstream::always(Then::environment());
    let setup = Setup::new()
        .set("ENVGATE_STORE__URL", &database.url())
        .upstream(upstream.address);
    let mut envgate = setup.start();
    database.kill();
    for number in 0..150 {
        let path = format!("/v1/environments/env_{number}");
        assert_eq!(
            envgate.post(&path, r#"{"name":"n"}"#).status,
            200,
            "no write waits for it"
        );
    }
    eventually("the gateway has tried", || {
        envgate.metric("envgate_audit_write_failures_total") >= 1.0
    });
    database.start_again();
    eventually("all records are there", || read(&database.url()).len() == 150);
    assert!(envgate.metric("envgate_audit_records_dropped_total").abs() < f64::EPSILON);
    let log = envgate.stop();
    let told = log.matches("the audit cannot be written").count();
    assert_eq!(told, 1, "an outage is told once: {log}");
}

#[test]
fn records_that_are_too_old_are_deleted_at_the_start() {
    let setup = Setup::new();
    keep_old_records(&sqlite(setup.path()), [200, 10]);
    let audited = Audited::start(setup, Setup::start);
    eventually("the old record is gone", || read(&audited.store).len() == 1);
    assert_eq!(audited.records(1)[0]["request_id"], "from 10 days ago");

    let setup = Setup::new().set("ENVGATE_AUDIT__RETENTION", "forever");
    keep_old_records(&sqlite(setup.path()), [200, 10]);
    let audited = Audited::start(setup, Setup::start);
    pause(Duration::from_millis(500));
    audited.records(2);
}

#[tokio::main(flavor = "current_thread")]
async fn keep_old_records(store: &str, days_ago: [i64; 2]) {
    let record = |days| {
        let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
        AuditRecord {
            id: AuditRecord::new_id(at).unwrap(),
            at,
            tenant: AuditTenant {
                id: "ten_1".to_owned(),
                name: "acme".to_owned(),
            },
            key: "sk-eg-abcdefgh".to_owned(),
            actor: None,
            client_address: None,
            operation: "update".to_owned(),
            environment: None,
            outcome: "ok".to_owned(),
            status: Some(200),
            error: None,
            request_id: format!("from {days} days ago"),
            repeats: 1,
            change: None,
        }
    };
    let store = Store::open(store).await.unwrap();
    store.write_audit(&days_ago.map(record)).await.unwrap();
}

#[test]
fn a_file_that_cannot_be_written_to_ends_serve_with_its_name() {
    let setup = Setup::new().set("ENVGATE_AUDIT__FILE", "nowhere/audit.jsonl");
    let ended = setup.run(&["serve"]);
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(
        said.contains("the audit cannot be written to nowhere/audit.jsonl"),
        "{said}"
    );
}

#[test]
fn an_audit_that_is_switched_off_keeps_nothing() {
    let mut audited = Audited::start(Setup::new(), |setup| {
        setup.set("ENVGATE_AUDIT__ENABLED", "false").start()
    });
    assert_eq!(audited.envgate.post(EXAMPLE, r#"{"name":"n"}"#).status, 200);
    audited.stop();
    audited.records(0);
    assert!(!audited.directory.join("audit.jsonl").exists());
}
