//! A gateway that was told to stop, as long as it still serves.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::EXAMPLE;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Setup, eventually};
use crate::common::upstream::{Gate, Then, Upstream};

const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const HEALTH: &str = "/health";

fn with_delay(delay: &str) -> Setup {
    Setup::new()
        .set("ENVGATE_SERVER__DRAIN_DELAY", delay)
        .set("ENVGATE_LISTEN__HEALTH_PATH", HEALTH)
}

#[test]
fn in_the_drain_delay_requests_are_served_and_balancers_are_told() {
    let mut envgate = with_delay("1h").start();
    envgate.signal("TERM");
    eventually("readiness ends", || envgate.admin_get("/readyz").status == 503);
    let health = Request::new(envgate.gateway, "GET", HEALTH).send();
    assert_eq!((health.status, health.text().as_str()), (503, "stopping"));
    let answer = envgate.get(EXAMPLE);
    assert_eq!(answer.status, 200, "a new connection is still served");
    assert_ne!(
        answer.header("connection"),
        Some("close"),
        "and may be used again"
    );
    envgate.signal("TERM");
    assert_eq!(
        envgate.wait(STOPPED_WITHIN).code(),
        Some(130),
        "the second signal does not wait"
    );
}

#[test]
fn the_drain_delay_ends_by_itself() {
    let mut envgate = with_delay("100ms").start();
    envgate.signal("TERM");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

#[test]
fn who_stops_it_by_hand_does_not_wait_for_the_drain_delay() {
    let mut envgate = with_delay("1h").start();
    envgate.signal("INT");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

#[test]
fn what_is_in_flight_has_as_long_as_the_upstream_may_take() {
    // More than any constant that would do for most requests.
    let late = Duration::from_secs(12);
    let upstream = Upstream::always(match Then::environment() {
        Then::Reply(bytes) => Then::Late(late, bytes),
        other => other,
    });
    let setup = Setup::new().set("ENVGATE_UPSTREAM__TIMEOUT", "30s");
    let mut envgate = setup.upstream(upstream.address).start();
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("POST", "/v1/environments/env_1/archive").bytes());
    eventually("the upstream was asked", || upstream.seen().len() == 1);
    envgate.signal("TERM");
    assert_eq!(busy.read_response().status, 200);
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0), "{}", envgate.log());
}

#[test]
fn the_admin_address_answers_until_all_is_finished() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let mut envgate = Setup::new().upstream(upstream.address).start();
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
    eventually("the upstream was asked", || upstream.seen().len() == 1);
    envgate.signal("TERM");
    eventually("nothing new is accepted", || {
        TcpStream::connect(envgate.gateway).is_err()
    });
    assert_eq!(envgate.admin_get("/readyz").status, 503);
    assert!(envgate.metric("envgate_requests_in_flight") > 0.0);
    gate.open();
    assert_eq!(busy.read_response().status, 200);
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

/// Asks on one connection, again and again, until it is told that this was the last answer.
fn ask_until_told(address: SocketAddr, request: &[u8], begun: &mpsc::Sender<()>) -> Result<(), String> {
    let mut stream = BufReader::new(TcpStream::connect(address).map_err(|error| error.to_string())?);
    loop {
        let ask = stream.get_mut().write_all(request);
        ask.map_err(|error| format!("a request was refused: {error}"))?;
        let (mut length, mut is_last) = (0, false);
        loop {
            let mut line = String::new();
            let read = stream.read_line(&mut line).map_err(|error| error.to_string())?;
            match line.trim_end().to_ascii_lowercase() {
                _ if read == 0 => return Err("a request was not answered".to_owned()),
                line if line.is_empty() => break,
                line if line == "connection: close" => is_last = true,
                line if line.starts_with("content-length: ") => {
                    length = line["content-length: ".len()..].parse().unwrap();
                }
                line if line.starts_with("http/1.1 ") => assert!(line.contains(" 200 "), "{line}"),
                _ => {}
            }
        }
        std::io::Read::read_exact(&mut stream, &mut vec![0; length]).map_err(|error| error.to_string())?;
        let _ = begun.send(());
        if is_last {
            return Ok(());
        }
    }
}

#[test]
fn clients_that_ask_on_kept_connections_lose_no_request_to_a_stop() {
    const CLIENTS: usize = 16;
    let mut envgate = Setup::new().start();
    let request = envgate.request("GET", EXAMPLE).bytes();
    let (begun, has_begun) = mpsc::channel();
    let clients = [(); CLIENTS].map(|()| {
        let (address, request, begun) = (envgate.gateway, request.clone(), begun.clone());
        thread::spawn(move || ask_until_told(address, &request, &begun))
    });
    for _ in 0..CLIENTS * 3 {
        has_begun.recv().unwrap();
    }
    envgate.signal("TERM");
    for client in clients {
        assert_eq!(client.join().unwrap(), Ok(()));
    }
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0), "{}", envgate.log());
}
