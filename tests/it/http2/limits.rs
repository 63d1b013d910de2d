//! Limits that hold whichever version is spoken.

use super::exchanges::{bearer, fields, start};
use crate::common::EXAMPLE;
use crate::common::envgate::{Setup, eventually};
use crate::common::http2::{Http2, Taken};
use crate::common::upstream::{Gate, Then, Upstream};

#[test]
fn a_connection_that_had_its_requests_says_goodbye_and_cuts_nothing() {
    let (envgate, client) = start(Setup::new().set("ENVGATE_LISTEN__MAX_REQUESTS_PER_CONNECTION", "3"));
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    for stream in [1, 3, 5] {
        http2.request(stream, &fields(&bearer, "GET", EXAMPLE));
        assert_eq!(http2.taken(stream), Taken::Answered(200), "{stream}");
    }
    assert_eq!(http2.end(), Some(0), "GOAWAY without an error");
    envgate.expect_metric(r#"envgate_connections_retired_total{reason="requests"}"#, 1.0);
}

#[test]
fn a_connection_that_is_old_says_goodbye_with_its_next_answer() {
    let (envgate, client) = start(Setup::new().set("ENVGATE_LISTEN__MAX_CONNECTION_AGE", "1ms"));
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.request(1, &fields(&bearer, "GET", EXAMPLE));
    assert_eq!(http2.taken(1), Taken::Answered(200));
    assert_eq!(http2.end(), Some(0), "GOAWAY without an error");
    envgate.expect_metric(r#"envgate_connections_retired_total{reason="age"}"#, 1.0);
}

#[test]
fn streams_are_in_flight_each_for_itself() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let setup = Setup::new().upstream(upstream.address);
    let (envgate, client) = start(setup.set("ENVGATE_LISTEN__MAX_IN_FLIGHT", "1"));
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.request(1, &fields(&bearer, "GET", EXAMPLE));
    eventually("it is asked", || upstream.seen().len() == 1);
    http2.request(3, &fields(&bearer, "GET", EXAMPLE));
    assert_eq!(http2.taken(3), Taken::Answered(503));
    gate.open();
    assert_eq!(http2.taken(1), Taken::Answered(200));
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
}
