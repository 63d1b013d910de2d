//! An upstream that keeps failing is left alone, and tested with one request at a time.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, Setup, eventually, pause};
use crate::common::upstream::{ClosedPort, Seen, Then, Upstream};

const PATH: &str = "/v1/environments/env_1";
const STATE: &str = "envgate_circuit_state";
const OPENED: &str = "envgate_circuit_opened_total";
const REFUSED: &str = "envgate_circuit_refused_total";

/// A gateway that leaves its upstream alone for a second after three failures.
fn gateway(upstream: &Upstream) -> Envgate {
    Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "3")
        .set("ENVGATE_UPSTREAM__CIRCUIT_PAUSE", "1s")
        .start()
}

/// Whether a request is the gateway's own, by which it sees whether the upstream answers.
fn is_probe(request: &Seen) -> bool {
    request.line.starts_with("GET /v1/environments?limit=1 ")
}

fn probes(upstream: &Upstream) -> usize {
    upstream.seen().iter().filter(|request| is_probe(request)).count()
}

fn empty_list() -> Then {
    Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#)
}

#[test]
fn after_failures_in_a_row_nothing_is_sent_until_one_request_finds_the_upstream_well() {
    let is_well = Arc::new(AtomicBool::new(false));
    let tested = Arc::clone(&is_well);
    let upstream = Upstream::start(
        move |_, _| match (tested.load(Ordering::Relaxed), Then::environment()) {
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
        let retry_after = response.header("retry-after").unwrap();
        assert!(["1", "2"].contains(&retry_after), "{retry_after}");
        assert_eq!(
            response.header("x-should-retry"),
            Some("true"),
            "nothing was sent"
        );
    }
    assert_eq!((upstream.seen().len(), probes(&upstream)), (4, 1));
    envgate.expect_metric(REFUSED, 2.0);
    envgate.expect_metric(OPENED, 1.0);
    envgate.expect_metric(
        r#"envgate_requests_total{error="circuit_open",operation="update",status="5xx"}"#,
        1.0,
    );

    is_well.store(true, Ordering::Relaxed);
    pause(Duration::from_millis(1300));
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |number| envgate.get(&format!("/v1/environments/env_{number}")).status;
        let asking: Vec<_> = (0..8).map(|number| scope.spawn(move || ask(number))).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503, 503, 503, 503, 503, 503], "one tests");
    assert_eq!(upstream.seen().len(), 5);
    envgate.expect_metric(STATE, 0.0);
    assert_eq!(envgate.get(PATH).status, 200);
    envgate.expect_log("the upstream answers again");
}

#[test]
fn what_says_that_nobody_is_there_opens_it_and_what_the_upstream_itself_says_does_not() {
    let advice: &[(&str, &str)] = &[("retry-after", "7")];
    let cases = [
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
    ];
    let judge = |(status, headers, opens): (&str, &[(&str, &str)], bool)| {
        let upstream = Upstream::always(Then::respond(status, headers, ""));
        let envgate = gateway(&upstream);
        for _ in 0..3 {
            envgate.get(PATH);
        }
        if opens {
            envgate.expect_metric(STATE, 2.0);
        }
        envgate.get(PATH);
        assert_eq!(probes(&upstream), usize::from(opens), "{status} {headers:?}");
        let tenants_own = upstream.seen().len() - probes(&upstream);
        let expected = if opens { 3 } else { 4 };
        assert_eq!(tenants_own, expected, "{status} {headers:?}");
    };
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || judge(case));
        }
    });
}

#[test]
fn an_upstream_that_cannot_be_reached_is_left_alone_too() {
    let nobody = ClosedPort::new();
    let envgate = Setup::new()
        .upstream(nobody.address())
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "1")
        .set("ENVGATE_UPSTREAM__CIRCUIT_PAUSE", "90s")
        .start();
    for _ in 0..2 {
        envgate.get(PATH).expect_error(503, "api_error");
    }
    envgate.expect_metric(REFUSED, 1.0);
    let waits = envgate
        .get(PATH)
        .header("retry-after")
        .unwrap()
        .parse::<u64>()
        .unwrap();
    assert!((80..=113).contains(&waits), "{waits}");
}

#[test]
fn one_tenant_whose_reads_hang_shuts_nobody_out() {
    let upstream = Upstream::start(|_, request| match request.line.contains("/env_") {
        true => Then::Hang(Duration::from_secs(5)),
        false => empty_list(),
    });
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_UPSTREAM__TIMEOUT", "500ms")
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "5");
    let (hanging, bystander) = (
        setup.tenant("hanging", "default"),
        setup.tenant("bystander", "default"),
    );
    let envgate = setup.start_for(&hanging);
    let ask = |key: &str, path: &str| {
        let request =
            Request::new(envgate.gateway, "GET", path).header("authorization", &format!("Bearer {key}"));
        request.header("cache-control", "no-cache").send().status
    };
    std::thread::scope(|scope| {
        for number in 0..12 {
            let ask = &ask;
            let key = &hanging;
            scope.spawn(move || assert_eq!(ask(key, &format!("/v1/environments/env_{number}")), 504));
        }
    });
    eventually("a probe tells the upstream from one tenant's requests", || {
        probes(&upstream) == 1
    });
    for _ in 0..20 {
        assert_eq!(ask(&bystander, "/v1/environments"), 200);
    }
    assert_eq!(envgate.metric(OPENED), 0.0);
    assert_eq!(envgate.metric(REFUSED), 0.0);
}

#[test]
fn clients_that_leave_do_not_hide_that_the_upstream_hangs() {
    let upstream = Upstream::always(Then::Hang(Duration::from_secs(5)));
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__TIMEOUT", "1s")
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "3")
        .start();
    let clients: Vec<TcpStream> = (0..3)
        .map(|number| {
            let mut client = TcpStream::connect(envgate.gateway).unwrap();
            let request = envgate.request("GET", &format!("/v1/environments/env_{number}"));
            client.write_all(&request.bytes()).unwrap();
            client
        })
        .collect();
    eventually("all were sent", || upstream.seen().len() == 3);
    // Longer than half of the time that the upstream has, and shorter than all of it.
    pause(Duration::from_millis(600));
    for client in &clients {
        let socket = socket2::SockRef::from(client);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
    drop(clients);
    eventually("the circuit opens", || envgate.metric(STATE) > 1.0);
    assert_eq!(probes(&upstream), 1);
}

#[test]
fn clients_that_leave_at_once_tell_nothing() {
    let upstream = Upstream::always(Then::Hang(Duration::from_secs(5)));
    let envgate = gateway(&upstream);
    for number in 0..6 {
        let mut client = TcpStream::connect(envgate.gateway).unwrap();
        let request = envgate.request("GET", &format!("/v1/environments/env_{number}"));
        client.write_all(&request.bytes()).unwrap();
        eventually("it was sent", || upstream.seen().len() == number + 1);
        let socket = socket2::SockRef::from(&client);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
    }
    let gone = r#"envgate_requests_total{error="client_gone",operation="retrieve",status="4xx"}"#;
    eventually("all were given up", || envgate.metric(gone) == 6.0);
    assert_eq!((envgate.metric(STATE), probes(&upstream)), (0.0, 0));
}

/// The process may open no further descriptor, or as many as at the start.
fn limit_descriptors(envgate: &Envgate, soft: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &envgate.pid().to_string(), &format!("--nofile={soft}:")])
        .status();
    assert!(limited.unwrap().success(), "prlimit is in util-linux");
}

#[test]
fn a_gateway_that_has_no_descriptor_left_does_not_blame_the_upstream() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "1")
        .start();
    let mut client = Connection::open(envgate.gateway);
    let mut ask = || {
        client.write(&envgate.request("GET", PATH).bytes());
        client.read_response()
    };
    let before = std::fs::read_to_string(format!("/proc/{}/limits", envgate.pid())).unwrap();
    let line = before
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let soft = line.split_whitespace().nth(3).unwrap();

    limit_descriptors(&envgate, "3");
    for _ in 0..3 {
        let response = ask();
        response.expect_error(503, "api_error");
        assert_eq!(response.header("x-should-retry"), Some("true"));
        assert_eq!(response.header("retry-after"), Some("1"));
    }
    limit_descriptors(&envgate, soft);
    assert_eq!(ask().status, 200);
    assert_eq!((envgate.metric(OPENED), envgate.metric(STATE)), (0.0, 0.0));
    envgate.expect_metric(
        r#"envgate_requests_total{error="out_of_resources",operation="retrieve",status="5xx"}"#,
        3.0,
    );
}
