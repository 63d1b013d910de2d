//! Reads that several ask for cost the upstream one request, and nobody sees what was before an answered write.

use std::time::Duration;

use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{ENVIRONMENT, Gate, Then, Upstream};
use parking_lot::Mutex;

const CLIENTS: usize = 1000;

/// An upstream that takes its time, so that all who ask meet, and is never silent for long.
fn slow(duration: Duration) -> Upstream {
    let Then::Reply(environment) = Then::environment() else {
        panic!("an environment is a reply");
    };
    Upstream::always(Then::Spread(duration, environment))
}

#[test]
fn a_thousand_identical_retrieves_at_once_are_one_request_upstream() {
    let upstream = slow(Duration::from_secs(4));
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_CACHE__TTL", "off")
        .start();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| envgate.get("/v1/environments/env_1")))
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(upstream.seen().len(), 1);
    let mut ids: Vec<_> = Vec::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["id"], "env_1");
        ids.push(answer.header("request-id").unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), CLIENTS, "every request has a name of its own");
    let misses = answers
        .iter()
        .filter(|answer| answer.header("envgate-cache") == Some("miss"));
    assert_eq!(misses.count(), 1);
    let coalesced = f64::from(u32::try_from(CLIENTS - 1).unwrap());
    envgate.expect_metric(r#"envgate_reads_total{result="coalesced"}"#, coalesced);
}

#[test]
fn a_retrieve_shortly_after_another_comes_from_memory_until_a_write() {
    let envgate = Envgate::start();
    let id = envgate.post("/v1/environments", r#"{"name":"old"}"#).json()["id"].clone();
    let path = format!("/v1/environments/{}", id.as_str().unwrap());
    let source = |answer: &Response| answer.header("envgate-cache").map(str::to_owned);

    let first = envgate.get(&path);
    assert_eq!(source(&first).unwrap(), "miss");
    assert_eq!(first.header("age"), None);
    let second = envgate.get(&path);
    assert_eq!(source(&second).unwrap(), "hit");
    assert_eq!(second.header("age"), Some("0"));
    assert_eq!(second.text(), first.text());

    let written = envgate.post(&path, r#"{"name":"new"}"#);
    assert_eq!((written.status, source(&written)), (200, None));
    let third = envgate.get(&path);
    assert_eq!(source(&third).unwrap(), "miss");
    assert_eq!(third.json()["name"], "new");
}

#[test]
fn a_client_can_ask_for_a_reply_of_its_own() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    for directive in ["no-cache", "no-store"] {
        envgate.get("/v1/environments/env_1");
        let before = upstream.seen().len();
        let answer = envgate
            .request("GET", "/v1/environments/env_1")
            .header("cache-control", directive)
            .send();
        assert_eq!(upstream.seen().len(), before + 1, "{directive}");
        assert_eq!(answer.header("envgate-cache"), Some("miss"), "{directive}");
    }
}

#[test]
fn tenants_share_pages_of_the_upstream_and_see_their_own_in_them() {
    let setup = Setup::new();
    let (one, other) = (setup.tenant("one", "default"), setup.tenant("other", "default"));
    let envgate = setup.start_for(&one);
    let as_tenant = |key: &str, method: &str, body: &str| {
        Request::new(envgate.gateway, method, "/v1/environments")
            .header("authorization", &format!("Bearer {key}"))
            .body(body)
            .send()
    };
    for (key, name) in [(&one, "of one"), (&other, "of the other")] {
        let body = format!(r#"{{"name":"{name}"}}"#);
        assert_eq!(as_tenant(key, "POST", &body).status, 200);
    }
    let names = |answer: &Response| -> Vec<String> {
        let data = answer.json()["data"].as_array().unwrap().clone();
        data.iter()
            .map(|environment| environment["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = as_tenant(&one, "GET", "");
    assert_eq!(first.header("envgate-cache"), Some("miss"));
    assert_eq!(names(&first), ["of one"]);
    let second = as_tenant(&other, "GET", "");
    assert_eq!(second.header("envgate-cache"), Some("hit"));
    assert_eq!(names(&second), ["of the other"]);

    assert_eq!(as_tenant(&one, "POST", r#"{"name":"another"}"#).status, 200);
    let third = as_tenant(&other, "GET", "");
    assert_eq!(third.header("envgate-cache"), Some("miss"), "something was made");
}

/// What came of a list that each of five tenants asks for. The first gate is opened once one asks and four wait, the
/// second, if there is one, once another asks and three wait for that.
fn lists_of_five_tenants(upstream: &Upstream, gate: &Gate, second_gate: Option<&Gate>) -> Vec<Response> {
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_CACHE__TTL", "off")
        .set("ENVGATE_LOG__LEVEL", "info,envgate::gateway::shared_reads=debug");
    let keys = ["a", "b", "c", "d", "e"].map(|name| setup.tenant(name, "default"));
    let envgate = setup.start_for(&keys[0]);
    let list = |key: &str| {
        Request::new(envgate.gateway, "GET", "/v1/environments")
            .header("authorization", &format!("Bearer {key}"))
            .send()
    };
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| list(&keys[0]));
        eventually("the first has asked", || !upstream.seen().is_empty());
        let others: Vec<_> = keys[1..].iter().map(|key| scope.spawn(|| list(key))).collect();
        let waited = || {
            envgate
                .log()
                .matches("waits for a read that is on its way")
                .count()
        };
        eventually("four wait", || waited() == 4);
        gate.open();
        if let Some(second_gate) = second_gate {
            eventually("three wait again", || waited() == 7);
            second_gate.open();
        }
        let all = std::iter::once(leader).chain(others);
        all.map(|list| list.join().unwrap()).collect()
    })
}

#[test]
fn a_list_that_hangs_for_the_first_is_everybodys_as_soon_as_another_has_asked() {
    let upstream = Upstream::start(|number, _| match number {
        0 => Then::Hang(Duration::from_secs(60)),
        _ => page("env_1", "null"),
    });
    for answer in lists_of_five_tenants(&upstream, &Gate::default(), None) {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn a_list_that_fails_for_the_first_tenant_is_asked_for_by_another() {
    let (gate, second_gate) = (Gate::default(), Gate::default());
    let (all_ask, first_has_failed) = (gate.clone(), second_gate.clone());
    let upstream = Upstream::start(move |number, _| match number {
        0 => {
            all_ask.wait();
            Then::Reset
        }
        // Held back, so that whoever learns late of the first one's failure still finds this read under way.
        _ => page("env_1", "null").behind(&first_has_failed),
    });
    let mut answers = lists_of_five_tenants(&upstream, &gate, Some(&second_gate)).into_iter();
    let first = answers.next().unwrap();
    assert_eq!(first.expect_error(502, "api_error")["type"], "api_error");
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn a_reply_is_asked_for_anew_when_its_time_is_over() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_CACHE__TTL", "200ms")
        .start();
    envgate.get("/v1/environments/env_1");
    eventually("the upstream is asked again", || {
        envgate.get("/v1/environments/env_1").header("envgate-cache") == Some("miss")
    });
    assert_eq!(upstream.seen().len(), 2);
}

/// The environments of a page of the upstream's, and its cursor.
fn page(id: &str, next: &str) -> Then {
    let environment = ENVIRONMENT.replace("env_1", id);
    let body = format!(r#"{{"data":[{environment}],"next_page":{next}}}"#);
    Then::respond("200 OK", &[("content-type", "application/json")], &body)
}

#[test]
fn who_has_a_place_in_flight_does_not_wait_for_who_has_none() {
    // The first page takes its time when it is asked for again.
    let gate = Gate::default();
    let held_back = gate.clone();
    let upstream = Upstream::start(move |number, seen| match page("env_1", r#""p2""#) {
        _ if seen.line.contains("page=p2") => page("env_2", "null"),
        first if number > 0 => first.behind(&held_back),
        first => first,
    });
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_CACHE__TTL", "off")
        .set("ENVGATE_UPSTREAM__TIMEOUT", "8s")
        .file("[budgets.default]\nconcurrent_requests = 1\n");
    setup.run_well(&["tenants", "create", "demo"]);
    // A list for some environments only is read page by page.
    let some = ["--environment", "env_1", "--environment", "env_2"];
    let key = setup.run_well(&[&["keys", "create", "--tenant", "demo", "--quiet"][..], &some].concat());
    let envgate = setup.start_for(&key);
    let first = envgate.get("/v1/environments?limit=1").json();
    let cursor = first["next_page"].as_str().unwrap();

    std::thread::scope(|scope| {
        let both = scope.spawn(|| envgate.get("/v1/environments?limit=2"));
        envgate.expect_metric(r#"envgate_budget_in_flight{budget="default"}"#, 1.0);
        let second = scope.spawn(|| envgate.get(&format!("/v1/environments?limit=1&page={cursor}")));
        envgate.expect_metric(r#"envgate_budget_queued{budget="default"}"#, 1.0);
        gate.open();
        for answer in [both, second].map(|asking| asking.join().unwrap()) {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    });
}

#[test]
fn a_write_is_not_sent_late_because_it_waited_for_another_to_read() {
    // The create tells what the stamp is.
    let stamped = Mutex::new(String::new());
    let upstream = Upstream::start(move |_, seen| {
        if seen.line.starts_with("POST") && !seen.line.contains("env_") {
            let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
            let metadata = format!(r#""metadata":{}"#, body["metadata"]);
            *stamped.lock() = ENVIRONMENT.replace(r#""metadata":{}"#, &metadata);
        }
        let environment = stamped.lock().clone();
        match Then::respond("200 OK", &[], &environment.replace("env_1", "env_2")) {
            _ if !seen.line.contains("env_2") => Then::respond("200 OK", &[], &environment),
            Then::Reply(bytes) => Then::Spread(Duration::from_secs(3), bytes),
            then => then,
        }
    });
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .set("ENVGATE_UPSTREAM__TIMEOUT", "4s")
        .start();
    assert_eq!(envgate.post("/v1/environments", r#"{"name":"n"}"#).status, 200);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| envgate.get("/v1/environments/env_2"));
        eventually("it is asked for", || upstream.seen().len() == 2);
        // Whose it is has to be known first, and that comes with a second to live.
        let refused = envgate.post("/v1/environments/env_2", r#"{"name":"m"}"#);
        refused.expect_error(504, "timeout_error");
        assert_eq!(refused.header("x-should-retry"), None, "it was not sent");
        assert_eq!(reading.join().unwrap().status, 200);
    });
    assert_eq!(upstream.seen().len(), 2);
}
