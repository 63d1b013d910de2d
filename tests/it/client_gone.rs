//! Clients that leave before their answer is there, and clients that only look as if they had.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::common::envgate::{Envgate, Setup, eventually, pause};
use crate::common::upstream::{Gate, Then, Upstream};
use rstest::rstest;

const PATH: &str = "/v1/environments/env_1";
const IN_FLIGHT: &str = "envgate_requests_in_flight";
/// Long enough for the gateway to notice what its client did.
const MOMENT: Duration = Duration::from_millis(200);
const UPDATE: &str = r#"{"name":"n"}"#;

/// An upstream that answers once the gate is open.
fn slow_upstream() -> (Upstream, Gate) {
    let gate = Gate::default();
    (Upstream::always(Then::environment().behind(&gate)), gate)
}

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leaving {
    /// Its program closes the connection, or ends.
    Closing,
    /// Its machine resets the connection.
    Resetting,
}

impl Leaving {
    fn leave(self, client: TcpStream) {
        if matches!(self, Self::Resetting) {
            let socket = socket2::SockRef::from(&client);
            socket.set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(client);
    }
}

/// Sends a request, and waits until the upstream has it.
fn ask(envgate: &Envgate, upstream: &Upstream, method: &str, body: Option<&str>) -> TcpStream {
    let request = envgate.request(method, PATH);
    let bytes = match body {
        Some(body) => request.body(body).bytes(),
        None => request.bytes(),
    };
    let before = upstream.seen().len();
    let mut client = TcpStream::connect(envgate.gateway).unwrap();
    client.write_all(&bytes).unwrap();
    eventually("the upstream is asked", || upstream.seen().len() > before);
    client
}

/// A gateway that finds out which of the clients that ended their side are gone.
fn probing(upstream: &Upstream) -> Setup {
    Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_LISTEN__PROBE_HALF_CLOSED", "true")
}

fn requests(operation: &str, error: &str, status: &str) -> String {
    format!(r#"envgate_requests_total{{error="{error}",operation="{operation}",status="{status}"}}"#)
}

#[rstest]
#[case(Leaving::Closing)]
#[case(Leaving::Resetting)]
fn a_read_is_given_up_when_its_client_is_gone(#[case] leaving: Leaving) {
    let (upstream, _never_opened) = slow_upstream();
    let envgate = probing(&upstream).start();
    leaving.leave(ask(&envgate, &upstream, "GET", None));
    envgate.expect_metric(&requests("retrieve", "client_gone", "4xx"), 1.0);
    envgate.expect_metric(IN_FLIGHT, 0.0);
    envgate.expect_log("client_gone");
    let log = envgate.log();
    let line = log.lines().find(|line| line.contains("client_gone")).unwrap();
    assert!(line.contains("status=499"), "{line}");
}

#[rstest]
#[case(Leaving::Closing)]
#[case(Leaving::Resetting)]
fn a_write_on_its_way_is_seen_to_its_end(#[case] leaving: Leaving) {
    let (upstream, gate) = slow_upstream();
    let envgate = probing(&upstream).start();
    leaving.leave(ask(&envgate, &upstream, "POST", Some(UPDATE)));
    pause(MOMENT);
    assert!(
        (envgate.metric(IN_FLIGHT) - 1.0).abs() < f64::EPSILON,
        "it is waited for"
    );
    gate.open();
    eventually("the write is recorded", || {
        envgate.metric(&requests("update", "none", "2xx")) > 0.0
    });
    envgate.expect_metric(IN_FLIGHT, 0.0);
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_write_that_was_not_sent_when_its_client_left_is_never_sent() {
    let (upstream, gate) = slow_upstream();
    // With stamps, whose the environment is has to be asked for before an update.
    let envgate = probing(&upstream).set("ENVGATE_OWNERSHIP__STAMP", "true").start();
    Leaving::Closing.leave(ask(&envgate, &upstream, "POST", Some(UPDATE)));
    envgate.expect_metric(&requests("update", "client_gone", "4xx"), 1.0);
    gate.open();
    pause(MOMENT);
    let seen = upstream.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].line.starts_with("GET"));
}

#[rstest]
#[case(false)]
#[case(true)]
fn a_client_that_only_ended_its_side_gets_its_answer(#[case] is_probed: bool) {
    let (upstream, gate) = slow_upstream();
    let envgate = match is_probed {
        true => probing(&upstream).start(),
        false => Envgate::in_front_of(upstream.address),
    };
    let mut client = ask(&envgate, &upstream, "GET", None);
    client.shutdown(Shutdown::Write).unwrap();
    pause(MOMENT);
    gate.open();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (interim, last) = answer.split_at(answer.find("HTTP/1.1 200").expect(&answer));
    let signs = if is_probed {
        interim.replace("HTTP/1.1 100 Continue\r\n\r\n", "")
    } else {
        interim.to_owned()
    };
    assert_eq!(
        signs, "",
        "signs of life at most, and none where nobody asked for them"
    );
    assert!(
        last.ends_with('}') && last.contains("Connection: close"),
        "{last}"
    );
    envgate.expect_metric(&requests("retrieve", "none", "2xx"), 1.0);
}

#[test]
fn a_client_that_ended_its_side_and_then_resets_is_gone() {
    let (upstream, _never_opened) = slow_upstream();
    let envgate = Envgate::in_front_of(upstream.address);
    let client = ask(&envgate, &upstream, "GET", None);
    client.shutdown(Shutdown::Write).unwrap();
    pause(MOMENT);
    Leaving::Resetting.leave(client);
    envgate.expect_metric(&requests("retrieve", "client_gone", "4xx"), 1.0);
}

#[test]
fn a_client_of_http_1_0_that_ended_its_side_hears_nothing_but_its_answer() {
    let (upstream, gate) = slow_upstream();
    let envgate = Envgate::in_front_of(upstream.address);
    let request = String::from_utf8(envgate.request("GET", PATH).bytes()).unwrap();
    let mut client = TcpStream::connect(envgate.gateway).unwrap();
    client
        .write_all(request.replace("HTTP/1.1", "HTTP/1.0").as_bytes())
        .unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    eventually("the upstream is asked", || !upstream.seen().is_empty());
    pause(MOMENT);
    gate.open();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.") && answer.contains(" 200 OK"),
        "{answer}"
    );
    assert!(!answer.contains("100 Continue"), "{answer}");
}

#[test]
fn a_client_that_sends_its_next_request_early_gets_both_answers() {
    let (upstream, gate) = slow_upstream();
    let envgate = Envgate::in_front_of(upstream.address);
    let mut client = ask(&envgate, &upstream, "GET", None);
    // It ends its side too, which is no reason to forget what it has sent.
    client
        .write_all(&envgate.request("GET", "/nowhere").bytes())
        .unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    pause(MOMENT);
    gate.open();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert!(answers.starts_with("HTTP/1.1 200 OK"), "{answers}");
    assert!(answers.contains("HTTP/1.1 404 Not Found"), "{answers}");
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_client_that_leaves_during_the_test_of_an_open_circuit_makes_way_for_another() {
    let gate = Gate::default();
    // The gateway's own probe comes after the first.
    let upstream = Upstream::start(move |number, _| match number {
        0 | 1 => Then::Reset,
        2 => Then::environment().behind(&gate),
        _ => Then::environment(),
    });
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "1")
        .set("ENVGATE_UPSTREAM__CIRCUIT_PAUSE", "100ms")
        .start();
    assert_eq!(envgate.get(PATH).status, 502);
    eventually("the circuit opens", || {
        envgate.metric("envgate_circuit_state") > 1.0
    });
    pause(Duration::from_millis(150));
    Leaving::Resetting.leave(ask(&envgate, &upstream, "GET", None));
    let another = envgate.get("/v1/environments/env_another");
    assert_eq!(another.status, 503, "one tests");
    envgate.expect_metric(&requests("retrieve", "client_gone", "4xx"), 1.0);
    // The tenant that opened it has had its test, so that the next is the gateway's own.
    eventually("the upstream is asked again", || envgate.get(PATH).status == 200);
}
