//! How the gateway stops.

use std::time::Duration;

use crate::common::client::Connection;
use crate::common::envgate::{Envgate, eventually};
use crate::common::upstream::{Gate, Then, Upstream};

#[test]
fn sigterm_lets_what_is_in_flight_finish() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::default();
        let upstream = Upstream::always(Then::environment().behind(&gate));
        let mut envgate = Envgate::in_front_of(upstream.address);
        let mut idle = Connection::open(envgate.gateway);
        let mut busy = Connection::open(envgate.gateway);
        busy.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
        eventually("the upstream was asked", || upstream.seen().len() == 1);
        envgate.signal(signal);
        eventually("nothing new is accepted", || {
            std::net::TcpStream::connect(envgate.gateway).is_err()
        });
        assert_eq!(
            envgate.admin_get("/readyz").status,
            503,
            "readiness outlives the listener"
        );
        gate.open();
        let response = busy.read_response();
        assert_eq!(
            (response.status, response.header("connection")),
            (200, Some("close"))
        );
        assert!(idle.is_closed());
        assert_eq!(envgate.wait(Duration::from_secs(5)).code(), Some(0));
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let upstream = Upstream::always(Then::Hang(Duration::from_secs(30)));
    let mut envgate = Envgate::in_front_of(upstream.address);
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
    eventually("the upstream was asked", || upstream.seen().len() == 1);
    envgate.signal("TERM");
    eventually("stopping has begun", || {
        envgate.admin_get("/readyz").status == 503
    });
    envgate.signal("TERM");
    assert_eq!(envgate.wait(Duration::from_secs(2)).code(), Some(130));
}
