//! One request sees one configuration, from its first byte to its last.

use std::time::Duration;

use super::{TOKEN, apply, in_front_of, reload, setup, write};
use crate::common::client::{Connection, Request};
use crate::common::envgate::eventually;
use crate::common::tls::{Authority, TlsClient};
use crate::common::upstream::{Gate, Then, Upstream};

#[test]
fn a_request_whose_body_is_on_its_way_ends_by_what_it_began_with() {
    let upstream = Upstream::always(Then::environment());
    let envgate = in_front_of(&upstream, "listen.max_body_bytes = 65536\n").start();
    let body = format!(r#"{{"name":"{}"}}"#, "x".repeat(200));
    let large = format!("{body}{}", " ".repeat(3000));
    let mut connection = Connection::open(envgate.gateway);
    let request = envgate.request("POST", "/v1/environments").body(&large);
    let bytes = request.bytes();
    let (first, rest) = bytes.split_at(bytes.len() - 1000);
    connection.write(first);
    eventually("it is being answered", || {
        envgate.metric("envgate_requests_in_flight") >= 1.0
    });
    apply(
        &envgate,
        "listen.max_body_bytes = 1024\n[plans.default]\noperations = [\"list\"]\n",
    );
    connection.write(rest);
    assert_eq!(
        connection.read_response().status,
        200,
        "it was allowed when it began"
    );
    connection.write(&request.bytes());
    assert_eq!(
        connection.read_response().status,
        403,
        "the next one on the same connection is not"
    );
}

#[test]
fn an_exchange_that_waits_for_the_upstream_is_answered_in_the_dialect_that_it_began_with() {
    let gate = Gate::default();
    let refusal = Then::respond(
        "404 Not Found",
        &[],
        r#"{"type":"error","error":{"type":"not_found_error","message":"no"}}"#,
    );
    let upstream = Upstream::always(refusal.behind(&gate));
    let envgate = in_front_of(&upstream, "contract.dialect = \"sandbase\"\n").start();
    let mut waiting = Connection::open(envgate.gateway);
    waiting.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
    eventually("the upstream was asked", || upstream.seen().len() == 1);
    apply(&envgate, "contract.dialect = \"anthropic\"\n");
    gate.open();
    assert_eq!(waiting.read_response().json()["error"]["type"], "not_found");
    let next = envgate.get("/v1/environments/env_1").json();
    assert_eq!(next["error"]["type"], "not_found_error");
}

#[test]
fn twenty_reloads_under_load_five_of_them_wrong_fail_no_request() {
    let upstream = Upstream::always(Then::environment());
    let envgate = in_front_of(&upstream, "upstream.timeout = \"30s\"\n").start();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let (envgate, is_over) = (&envgate, &is_over);
                scope.spawn(move || {
                    let mut connection = Connection::open(envgate.gateway);
                    let get = envgate
                        .request("GET", &format!("/v1/environments/env_{number}"))
                        .header("cache-control", "no-store");
                    let post = envgate
                        .request("POST", "/v1/environments/env_1")
                        .body(r#"{"name":"n"}"#);
                    let mut answered = 0;
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) || answered < 50 {
                        for request in [&get, &post] {
                            connection.write(&request.bytes());
                            let answer = connection.read_response();
                            assert_eq!(answer.status, 200, "{}", answer.text());
                            answered += 1;
                        }
                    }
                })
            })
            .collect();
        for number in 0..20 {
            if number % 4 == 3 {
                write(&envgate, "upstream.timeout = 7\n");
                assert_eq!(reload(&envgate).status, 400);
            } else {
                let timeout = 10 + number;
                let circuit = number % 3 + 1;
                apply(
                    &envgate,
                    &format!(
                        "upstream.timeout = \"{timeout}s\"\nupstream.circuit_failures = {circuit}\n\
                         [plans.p{number}]\nweight = 3\n[budgets.b{number}]\nrequests_per_minute = 5\n"
                    ),
                );
            }
        }
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    });
}

#[test]
fn another_certificate_is_shown_from_the_next_handshake_on_and_whoever_is_connected_stays() {
    let (old, new) = (Authority::new(), Authority::new());
    // From a file alone, so that a reload can change which files they are.
    let setup = setup("listen.tls = { certificate = \"old.crt\", key = \"old.key\" }\n");
    old.issue("localhost").write(setup.path(), "old");
    new.issue("localhost").write(setup.path(), "new");
    let envgate = setup.start();
    let request = envgate.request("GET", crate::common::EXAMPLE);
    let mut kept = Connection::over_tls(TlsClient::new(&old).connect(envgate.gateway));
    kept.write(&request.bytes());
    assert_eq!(kept.read_response().status, 200);
    let told = apply(
        &envgate,
        "listen.tls = { certificate = \"new.crt\", key = \"new.key\" }\n",
    );
    assert_eq!(
        told["changed"],
        serde_json::json!(["listen.tls.certificate", "listen.tls.key"])
    );
    assert_eq!(TlsClient::new(&new).send(envgate.gateway, &request).status, 200);
    assert!(TlsClient::new(&old).try_connect(envgate.gateway).is_err());
    kept.write(&request.bytes());
    assert_eq!(kept.read_response().status, 200);

    write(
        &envgate,
        "listen.tls = { certificate = \"new.crt\", key = \"old.key\" }\n",
    );
    assert_eq!(reload(&envgate).status, 400, "a key of another certificate");
    write(&envgate, "");
    let told = reload(&envgate).json();
    assert_eq!(told["outcome"], "unchanged", "plain HTTP needs a restart");
    assert_eq!(told["needs_restart"][0], "listen.tls");
    assert_eq!(TlsClient::new(&new).send(envgate.gateway, &request).status, 200);
}

#[test]
fn a_reload_while_the_gateway_stops_is_refused() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let mut envgate = in_front_of(&upstream, "").start();
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("POST", "/v1/environments/env_1/archive").bytes());
    eventually("the upstream was asked", || upstream.seen().len() == 1);
    let mut admin = Connection::open(envgate.admin);
    let ready = Request::new(envgate.admin, "GET", "/readyz");
    admin.write(&ready.bytes());
    assert_eq!(admin.read_response().status, 200);
    envgate.signal("TERM");
    eventually("it is stopping", || envgate.log().contains("stopping"));
    write(&envgate, "upstream.timeout = \"5s\"\n");
    envgate.signal("HUP");
    let post = Request::new(envgate.admin, "POST", "/api/v1/reload")
        .header("authorization", &format!("Bearer {TOKEN}"));
    admin.write(&post.bytes());
    let answer = admin.read_response();
    assert!(matches!(answer.status, 400 | 503), "{}", answer.text());
    gate.open();
    assert_eq!(busy.read_response().status, 200);
    assert_eq!(envgate.wait(Duration::from_secs(30)).code(), Some(0));
}
