//! Clients that do not take their answers, or take them slowly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::envgate::{Envgate, Setup, eventually, pause};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};

const LIST: &str = "/v1/environments?limit=1000";

/// An upstream whose list has about so many bytes, and is another for each query.
fn upstream_with_list(bytes: usize) -> Upstream {
    let count = bytes / ENVIRONMENT.len();
    let environments = vec![ENVIRONMENT; count].join(",");
    Upstream::start(
        move |_, request| match request.line.contains("/v1/environments?") {
            true => {
                let list = format!(
                    "{{\"data\":[{environments}],\"next_page\":null,\"asked\":\"{}\"}}",
                    request.line
                );
                Then::respond("200 OK", &[("content-type", "application/json")], &list)
            }
            false => Then::environment(),
        },
    )
}

fn gateway(upstream: &Upstream, plan: &str) -> Setup {
    Setup::new()
        .upstream(upstream.address)
        .file(&format!("[plans.default]\n{plan}\n"))
}

/// Asks for the list, and reads nothing of the answer.
fn ask_and_do_not_read(envgate: &Envgate) -> TcpStream {
    let mut client = TcpStream::connect(envgate.gateway).unwrap();
    let request = envgate.request("GET", LIST).header("connection", "close");
    client.write_all(&request.bytes()).unwrap();
    client
}

const NOT_TAKEN: &str = r#"envgate_requests_total{error="answer_not_taken",operation="list",status="2xx"}"#;

#[test]
fn whoever_takes_nothing_of_an_answer_is_closed_counted_and_logged() {
    let upstream = upstream_with_list(8_000_000);
    let envgate = gateway(&upstream, "")
        .set("ENVGATE_LISTEN__WRITE_TIMEOUT", "1s")
        .start();
    let mut client = ask_and_do_not_read(&envgate);
    eventually("it is given up", || envgate.metric(NOT_TAKEN) == 1.0);
    envgate.expect_log("answer_not_taken");
    let mut taken = Vec::new();
    let _ = client.read_to_end(&mut taken);
    assert!(taken.len() < 8_000_000, "all of it came");
    assert_eq!(envgate.metric("envgate_requests_in_flight"), 0.0);
}

#[test]
fn whoever_takes_it_slower_than_the_least_rate_is_closed_too() {
    let upstream = upstream_with_list(8_000_000);
    let envgate = gateway(&upstream, "")
        .set("ENVGATE_LISTEN__WRITE_TIMEOUT", "1s")
        .set("ENVGATE_LISTEN__MIN_SEND_BYTES_PER_SECOND", "1048576")
        .start();
    let mut client = ask_and_do_not_read(&envgate);
    let mut piece = [0; 8 * 1024];
    let mut taken = 0;
    while let Ok(read @ 1..) = client.read(&mut piece) {
        taken += read;
        pause(Duration::from_millis(50));
    }
    assert!(taken < 8_000_000, "all of it came");
    envgate.expect_metric(NOT_TAKEN, 1.0);
}

#[test]
fn whoever_takes_a_large_answer_steadily_gets_all_of_it() {
    let upstream = upstream_with_list(8_000_000);
    let envgate = gateway(&upstream, "")
        .set("ENVGATE_LISTEN__WRITE_TIMEOUT", "1s")
        .start();
    let mut client = ask_and_do_not_read(&envgate);
    let mut piece = vec![0; 512 * 1024];
    let mut taken = Vec::new();
    while let read @ 1.. = client.read(&mut piece).unwrap() {
        taken.extend_from_slice(&piece[..read]);
        pause(Duration::from_millis(100));
    }
    let end = taken.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let (head, body) = taken.split_at(end);
    let head = String::from_utf8(head.to_vec()).unwrap().to_lowercase();
    assert!(
        head.contains(&format!("content-length: {}\r\n", body.len())),
        "{head}"
    );
    assert_eq!(envgate.metric(NOT_TAKEN), 0.0);
}

#[test]
fn an_answer_that_is_not_taken_counts_against_its_tenant() {
    let upstream = upstream_with_list(8_000_000);
    let setup = gateway(&upstream, "concurrent_requests = 1");
    let envgate = setup.start();
    let client = ask_and_do_not_read(&envgate);
    eventually("the answer waits for its client", || {
        envgate.get("/v1/environments/env_1").status == 429
    });
    let refused = envgate.get("/v1/environments/env_1");
    refused.expect_error(429, "rate_limit_error");
    assert!(refused.header("retry-after").is_some());
    drop(client);
    eventually("there is room again", || {
        envgate.get("/v1/environments/env_1").status == 200
    });
}

#[test]
fn answers_that_are_the_same_take_the_room_of_one() {
    let upstream = upstream_with_list(8_000_000);
    let envgate = gateway(&upstream, "").start();
    let clients: Vec<_> = (0..40).map(|_| ask_and_do_not_read(&envgate)).collect();
    eventually("all are being answered", || {
        envgate.metric("envgate_requests_in_flight") == 40.0
    });
    // They are once all have read the reply, which takes a moment.
    eventually("none holds an answer of its own", || {
        envgate.resident_bytes() < 160_000_000
    });
    pause(Duration::from_millis(500));
    let resident = envgate.resident_bytes();
    assert!(resident < 160_000_000, "40 answers of 8 MB take {resident} bytes");
    drop(clients);
}

#[test]
fn what_waits_for_clients_is_bounded_in_all() {
    let upstream = upstream_with_list(8_000_000);
    let envgate = gateway(&upstream, "")
        .set("ENVGATE_LISTEN__MAX_UNREAD_BYTES", "12000000")
        .start();
    let mut client = ask_and_do_not_read(&envgate);
    // Its answer is on its way: before that another could take the room, and it would be this one that finds none.
    let mut beginning = [0; 12];
    client.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200");
    let other = "/v1/environments?limit=999";
    let refused = envgate.get(other);
    refused.expect_error(503, "api_error");
    assert_eq!(refused.header("x-should-retry"), Some("true"));
    assert_eq!(
        envgate.get("/v1/environments/env_1").status,
        200,
        "a small one does"
    );
    drop(client);
    eventually("there is room again", || envgate.get(other).status == 200);
}

#[test]
fn a_stop_does_not_wait_for_clients_that_take_nothing() {
    let upstream = upstream_with_list(8_000_000);
    let mut envgate = gateway(&upstream, "").start();
    let clients: Vec<_> = (0..20).map(|_| ask_and_do_not_read(&envgate)).collect();
    eventually("all are being answered", || {
        envgate.metric("envgate_requests_in_flight") == 20.0
    });
    let log = envgate.stop();
    assert!(
        !log.contains("cut off after"),
        "they were given up before the patience was over: {log}"
    );
    assert!(log.contains("answer_not_taken"));
    drop(clients);
}
