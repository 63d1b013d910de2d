//! What was seen, through all that may become of the store.

use std::time::Duration;

use envgate_test_servers::postgres::Server;

use super::{PATH, changed, findings, native, of_changed, upstream};
use crate::common::database;
use crate::common::envgate::{Envgate, eventually};
use crate::store::{execute_beside, name};

/// What tells of one of three findings.
const TOLD: &str = "/config/packages/go is missing";

/// Three replies come through as they are, whatever the store does.
fn see_three(envgate: &Envgate) {
    for _ in 0..3 {
        assert_eq!(envgate.post(PATH, "{}").text(), changed());
    }
}

fn expect_three_written(envgate: &Envgate) {
    eventually("it is in the store", || {
        let answer = envgate.admin_get("/api/v1/drift");
        answer.status == 200
            && answer.json()["data"]
                .as_array()
                .is_some_and(|data| data.len() == 3)
    });
    assert_eq!(findings(envgate), of_changed(3));
}

#[test]
fn what_is_seen_while_the_store_is_away_is_written_later() {
    let mut server = Server::start();
    let upstream = upstream(|_| changed());
    let envgate = native(&upstream).set("ENVGATE_STORE__URL", &server.url()).start();
    server.kill();
    see_three(&envgate);
    envgate.expect_log(TOLD);
    server.start_again();
    expect_three_written(&envgate);
}

#[test]
fn what_is_seen_while_the_store_takes_no_writes_is_written_later() {
    let database = database::migrated();
    let upstream = upstream(|_| changed());
    let envgate = native(&upstream)
        .set("ENVGATE_STORE__URL", &database.url())
        .start();
    let alter = format!("ALTER DATABASE {}", name(&database));
    let (set, reset) = (
        format!("{alter} SET default_transaction_read_only = on"),
        format!("{alter} RESET default_transaction_read_only"),
    );
    let end_connections = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        name(&database)
    );
    execute_beside(&database, &[&set, &end_connections]);
    eventually("it is read-only", || envgate.readiness().1.contains("read-only"));
    see_three(&envgate);
    envgate.expect_log(TOLD);
    assert_eq!(
        envgate.admin_get("/api/v1/drift").json()["data"],
        serde_json::json!([])
    );
    execute_beside(&database, &[&reset, &end_connections]);
    expect_three_written(&envgate);
}

#[test]
fn a_gateway_that_was_killed_knows_what_it_had_told() {
    let database = database::migrated();
    let upstream = upstream(|_| changed());
    let setup = || native(&upstream).set("ENVGATE_STORE__URL", &database.url());
    let mut killed = setup().start();
    see_three(&killed);
    expect_three_written(&killed);
    killed.expect_log(TOLD);
    killed.signal("KILL");
    killed.wait(Duration::from_secs(30));
    let mut next = setup().start_for(&killed.key);
    next.post(PATH, "{}");
    eventually("it counts on", || findings(&next) == of_changed(4));
    assert_eq!(killed.log().matches(TOLD).count(), 1);
    assert_eq!(next.stop().matches(TOLD).count(), 0);
}

#[test]
fn what_a_restored_backup_does_not_know_is_new_again() {
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("backup.db");
    let backup = backup.to_str().unwrap();
    let url = format!("sqlite:{}", directory.path().join("envgate.db").display());
    let upstream = upstream(|_| changed());
    let setup = || native(&upstream).set("ENVGATE_STORE__URL", &url);
    let mut before = setup().start();
    before.run_well(&["store", "backup", backup]);
    see_three(&before);
    expect_three_written(&before);
    before.run_well(&["drift", "--acknowledge"]);
    before.stop();
    before.run_well(&["store", "restore", backup]);
    let mut after = setup().start_for(&before.key);
    see_three(&after);
    expect_three_written(&after);
    assert_eq!(after.run(&["drift"]).status.code(), Some(1), "they are new");
    assert_eq!(after.stop().matches(TOLD).count(), 1);
}
