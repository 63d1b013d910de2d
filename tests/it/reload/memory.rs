//! What is remembered belongs to upstream, credential, workspace, proxy and stamp, and to no name.

use super::{apply, in_front_of, setup};
use crate::common::client::{Request, Response};
use crate::common::envgate::Envgate;
use crate::common::upstream::{Then, Upstream};

const LEFT: &str = r#"envgate_budget_remaining{budget="default"}"#;
const OPENED: &str = "envgate_upstream_connections_opened_total";

fn source(answer: &Response) -> Option<&str> {
    answer.header("envgate-cache")
}

fn read(envgate: &Envgate) -> Response {
    let answer = envgate.get("/v1/environments/env_1");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

fn uncached(envgate: &Envgate) -> Response {
    envgate
        .request("GET", "/v1/environments")
        .header("cache-control", "no-store")
        .send()
}

#[test]
fn reads_and_connections_outlive_a_reload_that_does_not_touch_what_they_belong_to() {
    let upstream = Upstream::always(Then::environment());
    let setup = setup_with_key(&upstream, "sk-ant-one", "");
    let envgate = setup.start();
    assert_eq!(source(&read(&envgate)), Some("miss"));
    let opened = envgate.metric(OPENED);

    apply(
        &envgate,
        &settings("one", "listen.max_body_bytes = 2048\nupstream.timeout = \"9s\"\n"),
    );
    assert_eq!(source(&read(&envgate)), Some("hit"));
    let fresh = envgate
        .request("GET", "/v1/environments/env_1")
        .header("cache-control", "no-cache");
    assert_eq!(source(&fresh.send()), Some("miss"));
    // The same key in another file.
    std::fs::write(envgate.path().join("copy"), "sk-ant-one").unwrap();
    apply(&envgate, &settings("copy", ""));
    assert_eq!(source(&read(&envgate)), Some("hit"), "the key is the same");
    assert!(
        envgate.metric(OPENED) <= opened + 1.0,
        "a worker's idle connection is used"
    );

    std::fs::write(envgate.path().join("two"), "sk-ant-two").unwrap();
    apply(&envgate, &settings("two", ""));
    let before = upstream.seen().len();
    assert_eq!(
        source(&read(&envgate)),
        Some("miss"),
        "what another credential sees may be another"
    );
    let seen = upstream.seen();
    assert_eq!(seen[before].all("x-api-key"), ["sk-ant-two"]);

    apply(
        &envgate,
        &settings("two", "upstream.workspace_id = \"wrkspc_1\"\n"),
    );
    assert_eq!(source(&read(&envgate)), Some("miss"), "so may another workspace");
}

/// A gateway whose credential is in a file.
fn settings(key: &str, more: &str) -> String {
    format!("cache.ttl = \"10m\"\nupstream.credential = {{ file = \"{key}\" }}\n{more}")
}

fn setup_with_key(upstream: &Upstream, key: &str, more: &str) -> crate::common::envgate::Setup {
    let setup = setup(&settings("one", more))
        .set("ENVGATE_UPSTREAM__URL", &format!("http://{}", upstream.address))
        .set("ENVGATE_UPSTREAM__LIST_AT_START", "false")
        .set("ENVGATE_OWNERSHIP__STAMP", "false");
    std::fs::write(setup.path().join("one"), key).unwrap();
    setup
}

#[test]
fn another_upstream_is_asked_from_the_next_request_on() {
    let (first, second) = (
        Upstream::always(Then::environment()),
        Upstream::always(Then::environment()),
    );
    let text = |upstream: &Upstream| {
        format!(
            "upstream.url = \"http://{}\"\n{}",
            upstream.address,
            settings("one", "upstream.list_at_start = false\nownership.stamp = false\n")
        )
    };
    let setup = setup(&text(&first));
    std::fs::write(setup.path().join("one"), "sk-ant-one").unwrap();
    let key = setup.tenant("demo", "default");
    let envgate = setup.start_for(&key);
    read(&envgate);
    apply(&envgate, &text(&second));
    assert_eq!(source(&read(&envgate)), Some("miss"));
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1));
}

#[test]
fn a_budget_keeps_what_was_spent_whatever_its_limits_become() {
    let upstream = Upstream::always(Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#));
    let text = |limit: u32| format!("[budgets.default]\nrequests_per_minute = {limit}\n");
    let envgate = in_front_of(&upstream, &text(2))
        .set("ENVGATE_UPSTREAM__TIMEOUT", "1s")
        .start();
    for _ in 0..2 {
        assert_eq!(uncached(&envgate).status, 200);
    }
    assert_eq!(uncached(&envgate).status, 429);
    apply(&envgate, &text(3));
    assert_eq!(uncached(&envgate).status, 200);
    assert_eq!(uncached(&envgate).status, 429, "two had been spent before");
    envgate.expect_metric(LEFT, 0.0);
    apply(&envgate, &text(1));
    assert_eq!(uncached(&envgate).status, 429);
    apply(&envgate, "");
    for _ in 0..10 {
        assert_eq!(uncached(&envgate).status, 200, "there is no limit any more");
    }
    apply(&envgate, &text(5));
    assert_eq!(
        uncached(&envgate).status,
        429,
        "what was accepted while there was none counts as well"
    );
    assert_eq!(upstream.seen().len(), 13);
}

#[test]
fn a_budget_comes_and_goes_with_its_settings() {
    let upstream = Upstream::always(Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#));
    let budget = "[budgets.other]\nrequests_per_minute = 1\n";
    let envgate = in_front_of(&upstream, "")
        .set("ENVGATE_UPSTREAM__TIMEOUT", "1s")
        .start();
    let limit = r#"envgate_budget_limit{budget="other",limit="requests"}"#;
    apply(&envgate, &format!("upstream.budget = \"other\"\n{budget}"));
    assert_eq!(uncached(&envgate).status, 200);
    assert_eq!(uncached(&envgate).status, 429);
    envgate.expect_metric(limit, 1.0);
    apply(&envgate, "");
    assert_eq!(uncached(&envgate).status, 200);
    crate::common::envgate::eventually("nothing is told of it any more", || {
        !envgate.admin_get("/metrics").text().contains(r#"budget="other""#)
    });
}

#[test]
fn a_list_that_goes_on_goes_on_after_a_reload() {
    let envgate = setup("").start();
    for number in 0..3 {
        let body = format!(r#"{{"name":"n{number}"}}"#);
        assert_eq!(envgate.post("/v1/environments", &body).status, 200);
    }
    let page = envgate.get("/v1/environments?limit=2").json();
    apply(&envgate, "upstream.timeout = \"9s\"\n");
    let cursor = page["next_page"].as_str().unwrap();
    let next = Request::new(
        envgate.gateway,
        "GET",
        &format!("/v1/environments?limit=2&page={cursor}"),
    )
    .header("x-api-key", &envgate.key)
    .send();
    assert_eq!(next.status, 200, "{}", next.text());
    assert!(!next.json()["data"].as_array().unwrap().is_empty());
}

/// Settings of an upstream, all in the file, with a key and more.
fn upstream_settings(address: std::net::SocketAddr, key: &str, more: &str) -> String {
    format!(
        "upstream.url = \"http://{address}\"\nupstream.credential = {{ file = \"{key}\" }}\n\
         upstream.list_at_start = false\n{more}"
    )
}

/// A gateway with those settings and two files of keys.
fn start(text: &str) -> Envgate {
    let setup = setup(text);
    for key in ["one", "two"] {
        std::fs::write(setup.path().join(key), format!("sk-ant-{key}")).unwrap();
    }
    let key = setup.tenant("demo", "default");
    setup.start_for(&key)
}

#[test]
fn whose_an_environment_is_is_known_until_the_credential_is_another() {
    let absent = r#"{"type":"error","error":{"type":"not_found_error","message":"no"}}"#;
    let upstream = Upstream::always(Then::respond("404 Not Found", &[], absent));
    let text = |key: &str, more: &str| upstream_settings(upstream.address, key, more);
    let envgate = start(&text("one", ""));
    let asked = |envgate: &Envgate| {
        let before = upstream.seen().len();
        let refused = envgate.request("DELETE", "/v1/environments/env_9").send();
        assert_eq!(refused.status, 404, "{}", refused.text());
        upstream.seen().len() - before
    };
    assert_eq!([asked(&envgate), asked(&envgate)], [1, 0]);
    apply(
        &envgate,
        &text("one", "upstream.timeout = \"9s\"\n[plans.gold]\n"),
    );
    assert_eq!(asked(&envgate), 0);
    apply(&envgate, &text("two", ""));
    assert_eq!([asked(&envgate), asked(&envgate)], [1, 0]);
}

#[test]
fn an_open_circuit_stays_open_for_its_upstream_and_is_nothing_to_another() {
    let gone = crate::common::upstream::ClosedPort::new();
    let good = Upstream::always(Then::environment());
    let more = |timeout: u32| {
        format!(
            "upstream.timeout = \"{timeout}s\"\nupstream.circuit_failures = 1\nupstream.circuit_pause = \"90s\"\n\
             ownership.stamp = false\n"
        )
    };
    let envgate = start(&upstream_settings(gone.address(), "one", &more(9)));
    const LEFT_ALONE: &str =
        r#"envgate_requests_total{error="circuit_open",operation="retrieve",status="5xx"}"#;
    let is_refused = || envgate.get("/v1/environments/env_1").status == 503;
    assert!(is_refused() && is_refused());
    envgate.expect_metric(LEFT_ALONE, 1.0);
    apply(&envgate, &upstream_settings(gone.address(), "one", &more(8)));
    assert!(is_refused());
    envgate.expect_metric(LEFT_ALONE, 2.0);
    apply(&envgate, &upstream_settings(good.address, "one", &more(8)));
    read(&envgate);
    envgate.expect_metric("envgate_circuit_state", 0.0);
}
