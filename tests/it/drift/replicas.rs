//! What one gateway sees, all know.

use envgate_test_servers::postgres::Server;

use super::{PATH, changed, findings, native, of_changed, upstream};
use crate::common::database;
use crate::common::envgate::eventually;

#[test]
fn replicas_share_what_they_have_seen_and_tell_of_it_once() {
    let database = database::migrated();
    let upstream = upstream(|_| changed());
    let setup = || native(&upstream).set("ENVGATE_STORE__URL", &database.url());
    let mut first = setup().start();
    let mut second = setup().start_for(&first.key);
    for _ in 0..4 {
        first.post(PATH, "{}");
        second.post(PATH, "{}");
    }
    eventually("each has written what it has seen", || {
        findings(&first) == findings(&second) && findings(&first) == of_changed(8)
    });
    assert_eq!(second.run(&["drift"]).status.code(), Some(1));
    first.run_well(&["drift", "--acknowledge"]);
    assert_eq!(second.run(&["drift"]).status.code(), Some(0));
    let logs = first.stop() + &second.stop();
    assert_eq!(logs.matches("differ from the contract; see").count(), 3, "{logs}");
}

#[test]
fn what_is_seen_while_the_store_is_away_is_written_later() {
    let mut server = Server::start();
    let upstream = upstream(|_| changed());
    let envgate = native(&upstream).set("ENVGATE_STORE__URL", &server.url()).start();
    server.kill();
    for _ in 0..3 {
        assert_eq!(envgate.post(PATH, "{}").text(), changed());
    }
    envgate.expect_log("/config/packages/go is missing");
    server.start_again();
    eventually("it is in the store", || {
        let answer = envgate.admin_get("/api/v1/drift");
        answer.status == 200
            && answer.json()["data"]
                .as_array()
                .is_some_and(|data| data.len() == 3)
    });
    assert_eq!(findings(&envgate), of_changed(3));
}
