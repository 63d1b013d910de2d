//! What a balancer asks on the tenants' address.

use std::time::Duration;

use crate::common::client::{Connection, Request};
use crate::common::envgate::{Setup, eventually};
use crate::common::upstream::{Gate, Then, Upstream};

#[test]
fn there_is_none_unless_it_is_wanted() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Setup::new().upstream(upstream.address).start();
    for path in ["/readyz", "/health"] {
        Request::new(envgate.gateway, "GET", path)
            .send()
            .expect_error(404, "not_found");
    }
}

#[test]
fn it_says_in_one_word_and_without_a_key_whether_requests_should_be_sent_here() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let mut envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_LISTEN__HEALTH_PATH", "/health")
        .set("ENVGATE_LISTEN__MAX_IN_FLIGHT", "1")
        .start();
    // The one request that there may be.
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
    eventually("it is in flight", || !upstream.seen().is_empty());
    assert_eq!(envgate.get("/v1/environments/env_2").status, 503);

    let ask = |method: &str| Request::new(envgate.gateway, method, "/health");
    let told = ask("GET").send();
    assert_eq!((told.status, told.text().as_str()), (200, "ready"));
    assert_eq!(told.header("content-type"), Some("text/plain"));
    assert_eq!(told.header("cache-control"), Some("no-store"));
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&ask("HEAD").bytes());
    let head = connection.read_head();
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    // HAProxy's default.
    connection.write(b"GET /health HTTP/1.0\r\n\r\n");
    let old = connection.read_response();
    assert_eq!((old.status, old.text().as_str()), (200, "ready"));
    ask("POST").send().expect_error(503, "api_error");

    // While it stops, those who are connected are told.
    let mut balancer = Connection::open(envgate.gateway);
    balancer.write(&ask("GET").head_bytes()[..10]);
    envgate.signal("TERM");
    eventually("it is known", || envgate.log().contains("stopping"));
    balancer.write(&ask("GET").head_bytes()[10..]);
    if let Some(told) = balancer.read_any_response() {
        assert_eq!((told.status, told.text().as_str()), (503, "stopping"));
    }
    gate.open();
    assert_eq!(busy.read_response().status, 200);
    envgate.wait(Duration::from_secs(30));
}

#[test]
fn a_path_of_the_api_or_none_is_refused_at_the_start() {
    for path in ["/v1/environments", "health", "/", "//x", "/a b", "/a?b"] {
        let checked = Setup::new()
            .set("ENVGATE_LISTEN__HEALTH_PATH", path)
            .run(&["check"]);
        assert_eq!(checked.status.code(), Some(1), "{path}");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(said.contains("expected a path such as"), "{said}");
    }
}
