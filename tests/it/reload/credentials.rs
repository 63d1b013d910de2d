//! The files of credentials are followed, and a 401 of the upstream sends a request once more where its file has
//! another key by then.

use std::fs;

use super::setup;
use crate::common::client::Response;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{Seen, Then, Upstream};

const OLD: &str = "sk-ant-old";
const NEW: &str = "sk-ant-new";
const SPENT: &str = r#"envgate_budget_remaining{budget="default"}"#;

/// An upstream that takes one key alone.
fn taking(good: &'static str) -> Upstream {
    Upstream::start(move |_, seen| answer(seen, good))
}

fn answer(seen: &Seen, good: &str) -> Then {
    if seen.all("x-api-key") == [good] {
        return Then::environment();
    }
    let refusal = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#;
    Then::respond("401 Unauthorized", &[], refusal)
}

fn with_key_file(upstream: &Upstream, key: &str) -> Setup {
    let text = "upstream.credential = { file = \"key\" }\n[budgets.default]\nrequests_per_minute = 100\n";
    let setup = setup(text)
        .set("ENVGATE_UPSTREAM__URL", &format!("http://{}", upstream.address))
        .set("ENVGATE_UPSTREAM__LIST_AT_START", "false")
        .set("ENVGATE_OWNERSHIP__STAMP", "false");
    fs::write(setup.path().join("key"), key).unwrap();
    setup
}

/// As whoever rotates keys puts another file in its place.
fn put(envgate: &Envgate, key: &str) {
    fs::write(envgate.path().join("key.new"), key).unwrap();
    fs::rename(envgate.path().join("key.new"), envgate.path().join("key")).unwrap();
}

fn update(envgate: &Envgate) -> Response {
    envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#)
}

fn keys(upstream: &Upstream) -> Vec<String> {
    let seen = upstream.seen();
    seen.iter().map(|seen| seen.all("x-api-key").join(" ")).collect()
}

#[test]
fn a_write_that_was_refused_with_401_is_sent_once_more_with_the_key_that_its_file_has_by_then() {
    let upstream = taking(NEW);
    let envgate = with_key_file(&upstream, OLD).start();
    put(&envgate, NEW);
    let answer = update(&envgate);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut keys = keys(&upstream);
    // The file may have been looked at before the request came.
    let tokens = keys.len();
    assert_eq!(keys.pop().as_deref(), Some(NEW));
    assert!(keys.is_empty() || keys == [OLD], "{keys:?}");
    let last = upstream.seen().pop().unwrap();
    assert_eq!(last.body, br#"{"name":"n"}"#);
    let left = 100.0 - f64::from(u32::try_from(tokens).unwrap());
    envgate.expect_metric(SPENT, left);
    assert_eq!(envgate.metric("envgate_upstream_credential_refused_total"), 0.0);
    for _ in 0..3 {
        assert_eq!(update(&envgate).status, 200);
    }
    assert!(!envgate.log().contains("sk-ant-"));
}

#[test]
fn requests_that_meet_the_change_of_a_key_all_succeed_reads_and_writes() {
    // The old key is taken until the new one was written, and never after that.
    let directory = tempfile::tempdir().unwrap();
    let flag = directory.path().join("rotated");
    let is_rotated = flag.clone();
    let upstream = Upstream::start(move |_, seen| answer(seen, if is_rotated.exists() { NEW } else { OLD }));
    let envgate = with_key_file(&upstream, OLD).start();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|number| {
                let envgate = &envgate;
                scope.spawn(move || {
                    for _ in 0..15 {
                        let answer = match number % 2 {
                            0 => update(envgate),
                            _ => envgate
                                .request("GET", &format!("/v1/environments/env_{number}"))
                                .header("cache-control", "no-store")
                                .send(),
                        };
                        assert_eq!(answer.status, 200, "{}", answer.text());
                    }
                })
            })
            .collect();
        put(&envgate, NEW);
        fs::write(&flag, "").unwrap();
        for client in clients {
            client.join().unwrap();
        }
    });
    assert_eq!(keys(&upstream).pop().as_deref(), Some(NEW));
}

#[test]
fn a_401_with_the_key_that_the_file_has_is_the_operators_fault_and_is_asked_once() {
    let upstream = taking(NEW);
    let envgate = with_key_file(&upstream, OLD).start();
    let answer = update(&envgate);
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(keys(&upstream), [OLD]);
    // One that no header can carry is none.
    put(&envgate, "two\nlines");
    assert_eq!(update(&envgate).status, 502);
    fs::remove_file(envgate.path().join("key")).unwrap();
    assert_eq!(update(&envgate).status, 502, "the key from before stays in use");
    assert!(keys(&upstream).iter().all(|key| key == OLD));
}

#[test]
fn a_second_401_is_not_answered_with_a_third_request() {
    let upstream = taking("sk-ant-nobodys");
    let envgate = with_key_file(&upstream, OLD).start();
    put(&envgate, NEW);
    assert_eq!(update(&envgate).status, 502);
    assert!(keys(&upstream).len() <= 2, "{:?}", keys(&upstream));
}

#[test]
fn another_key_in_the_file_is_used_without_anybody_asking() {
    let upstream = Upstream::always(Then::environment());
    let envgate = with_key_file(&upstream, OLD).start();
    assert_eq!(update(&envgate).status, 200);
    put(&envgate, NEW);
    envgate.expect_log("another credential is in use");
    assert_eq!(update(&envgate).status, 200);
    assert_eq!(keys(&upstream), [OLD, NEW]);
    let told = super::reload(&envgate).json();
    assert_eq!(told["outcome"], "unchanged", "that is in force already");
    eventually("the key of before is not used", || {
        keys(&upstream).last().unwrap() == NEW
    });
}
