//! What each signal does to a process that is at work.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::common::client::Connection;
use crate::common::envgate::{Envgate, Setup, eventually, signal};
use crate::common::upstream::{Then, Upstream};

const STOPPED_WITHIN: Duration = Duration::from_secs(15);

#[test]
fn signals_that_mean_nothing_end_nothing_and_a_hang_up_is_a_reload() {
    let mut envgate = Envgate::start();
    for name in ["USR1", "USR2", "ALRM", "IO", "PIPE", "HUP"] {
        envgate.signal(name);
    }
    envgate.expect_log("the settings were read again");
    assert_eq!(envgate.admin_get("/readyz").status, 200);
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

#[test]
fn quit_lets_a_write_in_flight_finish_as_terminate_does() {
    let upstream = Upstream::always(match Then::environment() {
        Then::Reply(bytes) => Then::Late(Duration::from_millis(1000), bytes),
        other => other,
    });
    let mut envgate = Envgate::in_front_of(upstream.address);
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("POST", "/v1/environments/env_1/archive").bytes());
    eventually("the upstream was asked", || upstream.seen().len() == 1);
    envgate.signal("QUIT");
    assert_eq!(busy.read_response().status, 200);
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
    assert!(envgate.log().contains("signal=\"SIGQUIT\""), "{}", envgate.log());
}

#[test]
fn the_environments_service_alone_takes_signals_as_the_gateway_does() {
    let setup = Setup::new().set("ENVGATE_UPSTREAM__CREDENTIAL", "sk-ant-test");
    let mut child = setup
        .command(&["upstream", "--address", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("http://"));
    for name in ["USR1", "USR2", "ALRM", "HUP"] {
        signal(&child, name);
    }
    signal(&child, "QUIT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
