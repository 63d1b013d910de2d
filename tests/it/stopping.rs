//! What was answered is in the audit when the process has ended, or its exit status says that it is not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use envgate::store::{AuditQuery, AuditRecord, Store};
use envgate_test_servers::postgres::Server;
use sqlx::Connection as _;

use crate::common::EXAMPLE;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Setup, eventually};
use crate::common::upstream::{Then, Upstream};

const STOPPED_WITHIN: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
pub async fn read(store: &str) -> Vec<AuditRecord> {
    let store = Store::open_existing(store).await.unwrap();
    let all = AuditQuery {
        limit: u16::MAX,
        ..AuditQuery::default()
    };
    let mut records = store.audit(&all).await.unwrap();
    // What the operator did for the test is left out.
    let is_tenants = |operation: &str| !operation.ends_with("_tenant") && !operation.ends_with("_key");
    records.retain(|record| is_tenants(&record.operation));
    records
}

fn sqlite(directory: &Path) -> String {
    format!("sqlite:{}", directory.join("envgate.db").display())
}

/// A gateway whose PostgreSQL goes away before 41 writes, and is stopped then. Gives back its exit status and
/// log.
fn stop_without_store(database: &mut Server, setup: Setup) -> (Option<i32>, String) {
    let upstream = Upstream::always(Then::environment());
    let setup = setup.set("ENVGATE_STORE__URL", &database.url());
    let mut envgate = setup.upstream(upstream.address).start();
    database.kill();
    for number in 0..41 {
        let path = format!("/v1/environments/env_{number}");
        assert_eq!(envgate.post(&path, r#"{"name":"n"}"#).status, 200);
    }
    envgate.signal("TERM");
    let code = envgate.wait(STOPPED_WITHIN).code();
    (code, envgate.log())
}

#[test]
fn what_the_store_did_not_take_at_the_end_is_told_by_the_log_and_the_exit_status() {
    let mut database = Server::start();
    let (code, log) = stop_without_store(&mut database, Setup::new());
    assert_eq!(code, Some(3), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.contains("stopped") && last.contains("writes=41"), "{last}");
}

#[test]
fn a_spool_takes_the_last_records_and_the_next_start_takes_them_in_once() {
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    let setup = || Setup::new().set("ENVGATE_AUDIT__SPOOL", spool.to_str().unwrap());
    let mut database = Server::start();
    let (code, log) = stop_without_store(&mut database, setup());
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(spool.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let spooled = std::fs::read(&spool).unwrap();
    assert_eq!(spooled.split(|byte| *byte == b'\n').count(), 42);

    database.start_again();
    let upstream = Upstream::always(Then::environment());
    let start = || {
        let setup = setup().set("ENVGATE_STORE__URL", &database.url());
        setup.upstream(upstream.address).start_for("sk-eg-nobody")
    };
    for _ in 0..2 {
        let _envgate = start();
        eventually("the spool is empty", || std::fs::read(&spool).unwrap().is_empty());
        assert_eq!(read(&database.url()).len(), 41);
        // As if the process had died before it emptied the spool.
        std::fs::write(&spool, &spooled).unwrap();
    }
}

#[test]
fn a_second_signal_cuts_a_write_off_and_it_is_recorded_as_unknown() {
    let upstream = Upstream::always(Then::Hang(Duration::from_secs(60)));
    let setup = Setup::new().upstream(upstream.address);
    let store = sqlite(setup.path());
    let mut envgate = setup.start();
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("POST", "/v1/environments/env_1/archive").bytes());
    eventually("the upstream was asked", || upstream.seen().len() == 1);
    envgate.signal("TERM");
    eventually("stopping has begun", || {
        envgate.admin_get("/readyz").status == 503
    });
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(130));
    let records = read(&store);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].outcome, "unknown");
    assert_eq!(records[0].error.as_deref(), Some("cut_off"));
    assert!(envgate.log().contains("requests=1"), "{}", envgate.log());
}

#[test]
fn a_pipe_that_nobody_reads_keeps_neither_the_store_nor_the_end_waiting() {
    let setup = Setup::new();
    let pipe = setup.path().join("pipe");
    assert!(setup.command_of("mkfifo", &["pipe"]).status().unwrap().success());
    let store = sqlite(setup.path());
    let mut envgate = setup.set("ENVGATE_AUDIT__FILE", pipe.to_str().unwrap()).start();
    for number in 0..3 {
        assert_eq!(
            envgate
                .post(EXAMPLE, &format!(r#"{{"name":"n{number}"}}"#))
                .status,
            200
        );
    }
    eventually("the store has the records", || read(&store).len() == 3);
    eventually("the lines are counted", || {
        envgate.metric("envgate_audit_file_lost_total") >= 3.0
    });
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

#[test]
fn a_pipe_that_is_full_keeps_neither_the_store_nor_the_end_waiting() {
    let setup = Setup::new();
    assert!(setup.command_of("mkfifo", &["pipe"]).status().unwrap().success());
    let pipe = setup.path().join("pipe");
    // Read and write, so that opening it does not wait for anybody.
    let reader = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let store = sqlite(setup.path());
    let mut envgate = setup.set("ENVGATE_AUDIT__FILE", pipe.to_str().unwrap()).start();
    let description = "d".repeat(480);
    for number in 0..120 {
        let body = format!(r#"{{"name":"n{number}","description":"{number}{description}"}}"#);
        assert_eq!(envgate.post(EXAMPLE, &body).status, 200);
    }
    eventually("the store has the records", || read(&store).len() == 120);
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
    assert!(
        envgate.log().contains("lines of the audit are lost"),
        "{}",
        envgate.log()
    );
    drop(reader);
}

#[test]
fn standard_output_can_be_the_file_of_the_audit() {
    let setup = Setup::new().set("ENVGATE_AUDIT__FILE", "/dev/stdout");
    let mut envgate = setup.start();
    assert_eq!(envgate.post(EXAMPLE, r#"{"name":"n"}"#).status, 200);
    eventually("the line is there", || {
        envgate.said_later().contains(r#""operation":"update""#)
    });
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

/// Takes the database of a gateway for itself, until it is dropped.
struct Held {
    release: tokio::sync::oneshot::Sender<()>,
    holding: std::thread::JoinHandle<()>,
}

impl Held {
    fn take(store: &str) -> Self {
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let (held, is_held) = std::sync::mpsc::channel();
        let store = store.to_owned();
        let hold = async move {
            sqlx::any::install_default_drivers();
            let mut connection = sqlx::AnyConnection::connect(&store).await.unwrap();
            let begin = "BEGIN IMMEDIATE";
            sqlx::query(begin).execute(&mut connection).await.unwrap();
            held.send(()).unwrap();
            let _ = released.await;
            sqlx::query("ROLLBACK").execute(&mut connection).await.unwrap();
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let holding = std::thread::spawn(move || runtime.block_on(hold));
        is_held.recv().unwrap();
        Self { release, holding }
    }

    fn release(self) {
        self.release.send(()).unwrap();
        self.holding.join().unwrap();
    }
}

#[test]
fn while_the_store_is_held_one_tenants_refusals_keep_no_record_of_another_out() {
    let setup = Setup::new();
    let [flood, quiet] = ["flood", "quiet"].map(|name| setup.tenant(name, "default"));
    let store = sqlite(setup.path());
    let upstream = Upstream::always(Then::respond("200 OK", &[], crate::common::upstream::ENVIRONMENT));
    let envgate = setup
        .set("ENVGATE_UPSTREAM__URL", &format!("http://{}", upstream.address))
        .set("ENVGATE_UPSTREAM__CREDENTIAL", "sk-ant-test")
        .start_for(&flood);
    let held = Held::take(&store);
    let mut connection = Connection::open(envgate.gateway);
    for number in 0..3000 {
        let path = format!("/v1/environments/env_{number}");
        let request = Request::new(envgate.gateway, "POST", &path)
            .header("x-api-key", &flood)
            .body("{");
        connection.write(&request.bytes());
        assert_eq!(connection.read_response().status, 400);
    }
    for number in 0..50 {
        let body = format!(r#"{{"name":"n{number}"}}"#);
        let request = Request::new(envgate.gateway, "POST", "/v1/environments").header("x-api-key", &quiet);
        assert_eq!(request.body(&body).send().status, 200);
    }
    eventually("the store has been tried", || {
        envgate.metric("envgate_audit_write_failures_total") >= 1.0
    });
    held.release();
    eventually("the records of the other tenant are there", || {
        let records = read(&store);
        records
            .iter()
            .filter(|record| record.tenant.name == "quiet")
            .count()
            == 50
    });
    assert!(envgate.metric("envgate_audit_records_dropped_total").abs() < f64::EPSILON);
}

#[test]
fn a_spool_that_cannot_be_written_to_ends_serve_with_its_name() {
    let setup = Setup::new().set("ENVGATE_AUDIT__SPOOL", "nowhere/spool");
    let ended = setup.run(&["serve"]);
    assert_eq!(ended.status.code(), Some(1));
    let printed = String::from_utf8(ended.stderr).unwrap();
    assert!(
        printed.contains("audit.spool: nowhere/spool cannot be used"),
        "{printed}"
    );
}
