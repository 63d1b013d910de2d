//! The upstream's budget: what goes up, who waits, who is refused, and what it is told.

mod learning;
mod updates;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::client::{Connection, Request, Response};
use crate::common::envgate::{Envgate, Setup, pause};
use crate::common::upstream::{ClosedPort, Then, Upstream};

const LIMIT: &str = "anthropic-ratelimit-requests-limit";
const REMAINING: &str = "anthropic-ratelimit-requests-remaining";
const RESET: &str = "anthropic-ratelimit-requests-reset";

const QUEUED: &str = r#"envgate_budget_queued{budget="default"}"#;
const IN_FLIGHT: &str = r#"envgate_budget_in_flight{budget="default"}"#;
const LEFT: &str = r#"envgate_budget_remaining{budget="default"}"#;
const CLOSED: &str = r#"envgate_budget_paused{budget="default"}"#;

/// A gateway with these settings and a tenant on each of these plans; their keys in the same order.
fn served<const N: usize>(
    upstream: &Upstream,
    settings: &str,
    timeout: &str,
    plans: [&str; N],
) -> (Envgate, [String; N]) {
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_UPSTREAM__TIMEOUT", timeout)
        .file(settings);
    let mut number = 0;
    let keys = plans.map(|plan| {
        number += 1;
        setup.tenant(&format!("tenant{number}"), plan)
    });
    (setup.start_for(&keys[0]), keys)
}

/// A gateway for one tenant, whose environments need no stamp.
fn served_alone(upstream: &Upstream, settings: &str, timeout: &str) -> Envgate {
    let setup = Setup::new().upstream(upstream.address).file(settings);
    setup.set("ENVGATE_UPSTREAM__TIMEOUT", timeout).start()
}

const EMPTY_LIST: &str = r#"{"data":[],"next_page":null}"#;

fn empty_list() -> Then {
    Then::respond("200 OK", &[], EMPTY_LIST)
}

fn late(milliseconds: u64, body: &str) -> Then {
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    Then::Late(Duration::from_millis(milliseconds), reply.into_bytes())
}

fn list_request(envgate: &Envgate, key: &str) -> Request {
    Request::new(envgate.gateway, "GET", "/v1/environments")
        .header("x-api-key", key)
        // Each costs a request of its own.
        .header("cache-control", "no-store")
}

/// One request of the client's that costs one upstream.
fn list(envgate: &Envgate, key: &str) -> Response {
    list_request(envgate, key).send()
}

fn retry_after(response: &Response) -> u64 {
    assert_eq!(response.header("x-should-retry"), Some("true"));
    response.header("retry-after").unwrap().parse().unwrap()
}

#[test]
fn no_more_than_allowed_are_in_flight_and_all_have_their_turn() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = Arc::clone(&most);
    let upstream = Upstream::start(move |_, _| {
        highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        pause(Duration::from_millis(20));
        now.fetch_sub(1, Ordering::SeqCst);
        empty_list()
    });
    let settings = "[budgets.default]\nconcurrent_requests = 3\n";
    let (envgate, keys) = served(&upstream, settings, "60s", ["default", "default"]);
    std::thread::scope(|scope| {
        for number in 0..60 {
            let (envgate, key) = (&envgate, &keys[number % 2]);
            scope.spawn(move || assert_eq!(list(envgate, key).status, 200));
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(upstream.seen().len(), 60);
    envgate.expect_metric(IN_FLIGHT, 0.0);
    envgate.expect_metric(QUEUED, 0.0);
    envgate.expect_metric(r#"envgate_budget_admitted_total{budget="default"}"#, 60.0);
    envgate.expect_metric(r#"envgate_budget_wait_seconds_count{budget="default"}"#, 60.0);
}

#[test]
fn what_the_upstream_allows_all_tenants_is_spent_once_and_then_refused_in_each_dialect() {
    let upstream = Upstream::always(empty_list());
    let settings = "[budgets.default]\nrequests_per_minute = 2\n[plans.native]\ndialect = \"anthropic\"\n";
    let (envgate, [facade, native]) = served(&upstream, settings, "50s", ["default", "native"]);
    assert_eq!(list(&envgate, &facade).status, 200);
    assert_eq!(list(&envgate, &native).status, 200);

    for key in [&facade, &native] {
        let refused = list(&envgate, key);
        let error = refused.expect_error(429, "rate_limit_error");
        assert_eq!(error["details"]["error_code"], "upstream_limit");
        // A slot is free after 60 seconds, and 30 may be waited.
        assert!((29..=31).contains(&retry_after(&refused)), "{refused:?}");
        assert_eq!(
            refused.header(LIMIT),
            None,
            "the organisation's limit is not for tenants"
        );
    }
    assert_eq!(upstream.seen().len(), 2);
    envgate.expect_metric(LEFT, 0.0);
    envgate.expect_metric(
        r#"envgate_budget_refused_total{budget="default",limit="upstream",reason="too_late"}"#,
        2.0,
    );
}

#[test]
fn a_tenant_is_told_of_its_own_limit_and_others_go_on() {
    let upstream = Upstream::always(empty_list());
    let settings = "[plans.small]\nrequests_per_minute = 2\n[plans.native]\ndialect = \"anthropic\"\nrequests_per_minute = 1\n";
    let (envgate, [small, native, free]) = served(&upstream, settings, "60s", ["small", "native", "default"]);
    for remaining in ["1", "0"] {
        let response = list(&envgate, &small);
        assert_eq!(response.status, 200);
        assert_eq!(response.header(LIMIT), Some("2"));
        assert_eq!(response.header(REMAINING), Some(remaining));
        let reset = response.header(RESET).unwrap();
        assert!(
            reset.len() == 20 && reset.ends_with('Z'),
            "whole seconds: {reset}"
        );
        let reset: jiff::Timestamp = reset.parse().unwrap();
        let wait = reset.duration_since(jiff::Timestamp::now()).as_secs();
        assert!((55..=61).contains(&wait), "{wait}");
    }
    let refused = list(&envgate, &small);
    let error = refused.expect_error(429, "rate_limit_error");
    assert_eq!(error["details"]["error_code"], "tenant_limit");
    assert!((19..=21).contains(&retry_after(&refused)), "{refused:?}");
    assert_eq!(refused.header(REMAINING), Some("0"));

    let wrong = list_request(&envgate, &small);
    let wrong = wrong.header("content-type", "image/png").body("[]").send();
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert_eq!(
        wrong.header(LIMIT),
        None,
        "what was refused before the budget says nothing of it"
    );

    assert_eq!(list(&envgate, &native).status, 200);
    let error = list(&envgate, &native).expect_error(429, "rate_limit_error");
    assert_eq!(error["details"]["error_code"], "tenant_limit");
    for _ in 0..5 {
        let response = list(&envgate, &free);
        assert_eq!(
            (response.status, response.header(LIMIT), response.header(RESET)),
            (200, None, None)
        );
    }
    let nobody = list(&envgate, "sk-eg-nobody");
    assert_eq!((nobody.status, nobody.header(LIMIT)), (401, None));
    assert_eq!(upstream.seen().len(), 8);
}

#[test]
fn a_client_that_is_gone_leaves_the_queue() {
    let upstream = Upstream::always(late(1500, EMPTY_LIST));
    let settings = "[budgets.default]\nconcurrent_requests = 1\n";
    let (envgate, [key]) = served(&upstream, settings, "60s", ["default"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| list(&envgate, &key));
        envgate.expect_metric(IN_FLIGHT, 1.0);
        let mut leaving = Connection::open(envgate.gateway);
        leaving.write(&list_request(&envgate, &key).bytes());
        envgate.expect_metric(QUEUED, 1.0);
        leaving.reset();
        envgate.expect_metric(QUEUED, 0.0);

        let mut half_closed = Connection::open(envgate.gateway);
        half_closed.write(&list_request(&envgate, &key).bytes());
        half_closed.half_close();
        let told = half_closed.read_response();
        assert_eq!(first.join().unwrap().status, 200);
        assert_eq!(told.status, 200, "it still wants its answer");
    });
    assert_eq!(
        upstream.seen().len(),
        2,
        "nobody's turn was spent on who had left"
    );
    envgate.expect_metric(
        r#"envgate_requests_total{error="client_gone",operation="list",status="4xx"}"#,
        1.0,
    );
}

#[test]
fn a_client_that_sends_its_next_request_early_keeps_its_turn() {
    let upstream = Upstream::always(late(500, EMPTY_LIST));
    let settings = "[budgets.default]\nconcurrent_requests = 1\n";
    let (envgate, [key]) = served(&upstream, settings, "60s", ["default"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| list(&envgate, &key));
        envgate.expect_metric(IN_FLIGHT, 1.0);
        let mut early = Connection::open(envgate.gateway);
        early.write(&list_request(&envgate, &key).bytes());
        envgate.expect_metric(QUEUED, 1.0);
        early.write(&list_request(&envgate, &key).bytes());
        assert_eq!(early.read_response().status, 200);
        assert_eq!(first.join().unwrap().status, 200);
    });
}

#[test]
fn a_read_that_is_sent_again_spends_another_token() {
    for (limit, expected) in [(3, 200), (2, 502)] {
        // The second request finds its connection dead.
        let upstream = Upstream::start(|number, _| match number {
            1 => Then::Reset,
            _ => empty_list(),
        });
        let settings = format!("[budgets.default]\nrequests_per_minute = {limit}\n");
        let setup = Setup::new()
            .upstream(upstream.address)
            .set("ENVGATE_SERVER__THREADS", "1")
            .set("ENVGATE_UPSTREAM__TIMEOUT", "20s");
        let envgate = setup.file(&settings).start();
        assert_eq!(list(&envgate, &envgate.key).status, 200);
        assert_eq!(list(&envgate, &envgate.key).status, expected);
        assert_eq!(upstream.seen().len(), limit);
        envgate.expect_metric(LEFT, 0.0);
    }
}

#[test]
fn what_could_not_be_sent_is_not_counted() {
    let closed = ClosedPort::new();
    let settings = "[budgets.default]\nrequests_per_minute = 1\n[plans.default]\nrequests_per_minute = 1\n";
    let setup = Setup::new().upstream(closed.address()).file(settings);
    let envgate = setup.start();
    for _ in 0..3 {
        let refused = list(&envgate, &envgate.key);
        refused.expect_error(503, "api_error");
        assert_eq!(refused.header(REMAINING), Some("1"));
    }
    envgate.expect_metric(LEFT, 1.0);
    envgate.expect_metric(IN_FLIGHT, 0.0);
}

#[test]
fn an_upstream_on_this_machine_is_unlimited_and_that_is_said() {
    let upstream = Upstream::always(empty_list());
    let (envgate, [key]) = served(&upstream, "", "60s", ["default"]);
    for _ in 0..100 {
        assert_eq!(list(&envgate, &key).status, 200);
    }
    envgate.expect_log("what may go up");
    let log = envgate.log();
    let line = log.lines().find(|line| line.contains("what may go up")).unwrap();
    assert!(
        line.contains(r#"requests_per_minute="unlimited""#)
            && line.contains(r#"concurrent_requests="unlimited""#),
        "{line}"
    );
}

#[test]
fn check_finds_an_impossible_limit_with_its_place() {
    let text =
        "[budgets.default]\nrequests_per_minute = 0\n[plans.gold]\nconcurrent_requests = -3\nweight = 0\n";
    let checked = Setup::new().file(text).run(&["check"]);
    assert_eq!(checked.status.code(), Some(1));
    let told = String::from_utf8(checked.stderr).unwrap();
    for place in [
        "envgate.toml:2:23: ",
        "envgate.toml:4:23: ",
        "envgate.toml:5:10: ",
    ] {
        assert!(told.contains(place), "{told}");
    }
    assert!(told.contains("3 faults"), "{told}");
}

#[test]
fn metrics_tell_what_is_left_of_every_limit_and_how_many_replicas_are_expected() {
    let upstream = Upstream::always(empty_list());
    let settings = "[budgets.default]\nrequests_per_minute = 60\nreads_per_minute = 50\nconcurrent_requests = 10\n\
                    [quota]\nreplicas = 2\n[cache]\nttl = \"off\"\n";
    let (envgate, [key]) = served(&upstream, settings, "60s", ["default"]);
    for _ in 0..3 {
        assert_eq!(list(&envgate, &key).status, 200);
    }
    let left = |limit: &str| format!("envgate_budget_left{{budget=\"default\",limit=\"{limit}\"}}");
    envgate.expect_metric(&left("requests"), 27.0);
    envgate.expect_metric(&left("reads"), 22.0);
    envgate.expect_metric(&left("concurrent"), 5.0);
    let metrics = envgate.admin_get("/metrics").text();
    assert!(!metrics.contains(&left("writes")), "nothing limits writes here");
    envgate.expect_metric(r#"envgate_budget_replicas_expected{budget="default"}"#, 2.0);
}
