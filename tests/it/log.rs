//! The log never holds up a request, and no text from elsewhere breaks a line of it.

use std::io::{Read, pipe};
use std::time::Duration;

use crate::common::EXAMPLE;
use crate::common::client::Connection;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{Then, Upstream};

const LOST: &str = "envgate_log_lines_dropped_total";
const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// Sends requests on one connection until lines of the log are lost.
fn send_until_lines_are_lost(envgate: &Envgate) {
    let bytes = envgate.request("GET", EXAMPLE).bytes();
    let mut connection = Connection::open(envgate.gateway);
    eventually("lines are lost", || {
        for _ in 0..2000 {
            connection.write(&bytes);
            assert_eq!(connection.read_response().status, 200);
        }
        envgate.metric(LOST) >= 1.0
    });
}

#[test]
fn no_request_and_no_stop_waits_for_a_standard_error_that_nobody_reads() {
    let (mut reader, writer) = pipe().unwrap();
    let mut envgate = Setup::new().stderr(writer).start();
    send_until_lines_are_lost(&envgate);
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.lines().next().unwrap().contains("envgate"), "{text}");
}

#[test]
fn a_standard_error_that_is_read_late_gets_all_that_fitted() {
    let (mut reader, writer) = pipe().unwrap();
    let mut envgate = Setup::new().stderr(writer).start();
    send_until_lines_are_lost(&envgate);
    let read = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
    let text = read.join().unwrap();
    let whole = |line: &str| line.contains("envgate::access: request") || !line.contains("access");
    assert!(text.lines().all(whole), "no line is torn");
    assert!(text.ends_with("stopped\n"), "the last lines are flushed");
}

#[test]
fn lines_that_a_full_disk_refuses_are_counted_and_hold_nothing_up() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut envgate = Setup::new().stderr(full).start();
    assert_eq!(envgate.get(EXAMPLE).status, 200);
    eventually("lost lines are counted", || envgate.metric(LOST) >= 1.0);
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

#[test]
fn a_standard_error_whose_reader_has_gone_holds_nothing_up() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut envgate = Setup::new().stderr(writer).start();
    assert_eq!(envgate.get(EXAMPLE).status, 200);
    eventually("lost lines are counted", || envgate.metric(LOST) >= 1.0);
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

#[test]
fn a_process_without_a_standard_error_serves() {
    let setup = Setup::new();
    let script = format!("exec {} serve 2>&-", env!("CARGO_BIN_EXE_envgate"));
    let mut child = setup
        .command_of("sh", &["-c", &script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 8];
    child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"envgate ");
    crate::common::envgate::signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_line_stays_one_line_whatever_the_upstream_says() {
    // The reason of an answer that cannot be used is told in the log.
    let upstream = Upstream::always(Then::respond(
        "401 No",
        &[("request-id", "req_1")],
        "{\"type\":\"error\",\"error\":{\"type\":\"x\",\"message\":\"a\\n2026-01-01 ERROR forged\\u001b[2J\\r\"}}",
    ));
    let envgate = Envgate::in_front_of(upstream.address);
    envgate.get("/v1/environments/env_1");
    eventually("the request is logged", || {
        envgate.log().contains("envgate::access")
    });
    let log = envgate.log();
    assert!(
        log.lines()
            .all(|line| line.starts_with("20") && !line.starts_with("2026-01-01 ")),
        "{log}"
    );
    assert!(!log.contains('\u{1b}') && !log.contains('\r'), "{log:?}");
}
