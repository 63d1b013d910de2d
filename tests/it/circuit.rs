//! An upstream that keeps failing is left alone, and tried again with one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::envgate::{Envgate, Setup, pause};
use crate::common::upstream::{ClosedPort, Then, Upstream};

const PATH: &str = "/v1/environments/env_1";
const STATE: &str = "envgate_circuit_state";

/// A gateway that leaves its upstream alone for a second after three failures.
fn gateway(upstream: &Upstream) -> Envgate {
    Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "3")
        .set("ENVGATE_UPSTREAM__CIRCUIT_PAUSE", "1s")
        .start()
}

#[test]
fn after_failures_in_a_row_nothing_is_sent_until_one_request_finds_the_upstream_well() {
    let is_well = Arc::new(AtomicBool::new(false));
    let tried = Arc::clone(&is_well);
    let upstream = Upstream::start(
        move |_, _| match (tried.load(Ordering::Relaxed), Then::environment()) {
            (true, Then::Reply(bytes)) => Then::Late(Duration::from_millis(300), bytes),
            _ => Then::Reset,
        },
    );
    let envgate = gateway(&upstream);
    for _ in 0..3 {
        envgate.get(PATH).expect_error(502, "api_error");
    }
    envgate.expect_metric(STATE, 2.0);
    for response in [envgate.get(PATH), envgate.post(PATH, r#"{"name":"n"}"#)] {
        response.expect_error(503, "api_error");
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(
            response.header("x-should-retry"),
            Some("true"),
            "nothing was sent"
        );
    }
    assert_eq!(upstream.seen().len(), 3);
    envgate.expect_metric("envgate_circuit_refused_total", 2.0);
    envgate.expect_metric("envgate_circuit_opened_total", 1.0);
    envgate.expect_metric(
        r#"envgate_requests_total{error="circuit_open",operation="update",status="5xx"}"#,
        1.0,
    );

    is_well.store(true, Ordering::Relaxed);
    pause(Duration::from_millis(1100));
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |number| envgate.get(&format!("/v1/environments/env_{number}")).status;
        let asking: Vec<_> = (0..8).map(|number| scope.spawn(move || ask(number))).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503, 503, 503, 503, 503, 503], "one tries");
    assert_eq!(upstream.seen().len(), 4);
    envgate.expect_metric(STATE, 0.0);
    assert_eq!(envgate.get(PATH).status, 200);
    envgate.expect_log("the upstream answers again");
}

#[test]
fn what_says_that_nobody_is_there_opens_it_and_what_the_upstream_itself_says_does_not() {
    let advice: &[(&str, &str)] = &[("retry-after", "7")];
    for (status, headers, opens) in [
        ("400 Bad Request", &[][..], false),
        ("404 Not Found", &[], false),
        ("429 Slow Down", &[], false),
        ("500 Oops", &[], false),
        ("502 Bad Gateway", &[], true),
        ("503 Unavailable", &[], true),
        ("503 Unavailable", advice, false),
        ("504 Gateway Timeout", &[], true),
        ("529 Overloaded", &[], true),
        ("529 Overloaded", advice, false),
    ] {
        let upstream = Upstream::always(Then::respond(status, headers, ""));
        let envgate = gateway(&upstream);
        for _ in 0..4 {
            envgate.get(PATH);
        }
        let expected = if opens { 3 } else { 4 };
        assert_eq!(upstream.seen().len(), expected, "{status} {headers:?}");
    }
}

#[test]
fn an_upstream_that_cannot_be_reached_is_left_alone_too() {
    let closed = ClosedPort::new();
    let envgate = Setup::new()
        .upstream(closed.address())
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "1")
        .set("ENVGATE_UPSTREAM__CIRCUIT_PAUSE", "90s")
        .start();
    for _ in 0..2 {
        envgate.get(PATH).expect_error(503, "api_error");
    }
    envgate.expect_metric("envgate_circuit_refused_total", 1.0);
    let waits = envgate
        .get(PATH)
        .header("retry-after")
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!((80..=90).contains(&waits), "{waits}");
}
