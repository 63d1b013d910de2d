//! What one gateway sees, all know.

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
