use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::fake::{environment, not_found, ok, stamping};
use super::tenant::{COLLECTION, Tenant, with_id};
use crate::common::upstream::{Seen, Then, Upstream};

#[test]
fn what_is_not_the_callers_costs_the_upstream_one_read_and_then_none() {
    // Foreign, unstamped and absent.
    let upstream = Upstream::start(|_, seen| match seen.line.split(' ').nth(1).unwrap() {
        path if path.ends_with("foreign") => ok(&environment("foreign", r#"{"envgate:tenant":"ten_else"}"#)),
        path if path.ends_with("unstamped") => ok(&environment("unstamped", "{}")),
        _ => not_found(),
    });
    for operation in 0..4 {
        let envgate = stamping(&upstream);
        for id in ["foreign", "unstamped", "absent"] {
            let before = upstream.seen().len();
            let (method, path, body) = &with_id(id)[operation];
            for _ in 0..2 {
                let refused = Tenant::demo(&envgate).send(method, path, *body);
                let error = refused.expect_error(404, "not_found");
                assert_eq!(
                    error,
                    json!({"type": "not_found", "message": "environment not found"})
                );
            }
            let seen = &upstream.seen()[before..];
            assert_eq!(seen.len(), 1, "{method} {path}: {seen:?}");
            assert_eq!(seen[0].line, format!("GET {COLLECTION}/{id} HTTP/1.1"));
        }
    }
}

/// An upstream that keeps one environment: it gives back the metadata that it was sent at its creation.
fn one_environment() -> Upstream {
    let created = Arc::new(Mutex::new(None::<String>));
    Upstream::start(move |_, seen: &Seen| {
        let mut created = created.lock();
        if seen.line.starts_with("POST /v1/environments ") {
            let body: Value = serde_json::from_slice(&seen.body).unwrap();
            *created = Some(environment("env_1", &body["metadata"].to_string()));
        }
        if seen.line.starts_with("DELETE") {
            return match created.take() {
                Some(_) => Then::respond("204 No Content", &[], ""),
                None => not_found(),
            };
        }
        created.as_deref().map_or_else(not_found, ok)
    })
}

#[test]
fn a_body_goes_up_as_it_came_but_for_the_stamp_of_a_create() {
    let upstream = one_environment();
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    for (sent, before, after) in [
        (
            "{ \"metadata\" : {\"b\":\"\\u00e9\" , \"a\":\"/\"}\n,\"name\":\"a\\/b\" }",
            "{ \"metadata\" : {\"b\":\"\\u00e9\" , \"a\":\"/\",",
            "}\n,\"name\":\"a\\/b\" }",
        ),
        (
            r#"{"name":"a","metadata":{ }}"#,
            r#"{"name":"a","metadata":{"#,
            " }}",
        ),
        (r#" {"name":"a"} "#, r#" {"name":"a","metadata":{"#, "}} "),
    ] {
        let reply = demo.post(COLLECTION, sent);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let metadata = &serde_json::from_str::<Value>(sent).unwrap()["metadata"];
        let shown = if metadata.is_null() {
            "{}".to_owned()
        } else {
            metadata.to_string()
        };
        assert_eq!(reply.text(), environment("env_1", &shown));

        let up = String::from_utf8(upstream.seen().last().unwrap().body.clone()).unwrap();
        let stamp = up.strip_prefix(before).unwrap().strip_suffix(after).unwrap();
        assert!(stamp.starts_with(r#""envgate:tenant":"ten_"#), "{stamp}");
        assert_eq!(stamp.matches('"').count(), 4, "{stamp}");
    }
    let update = "{ \"metadata\": {\"a\":null} }\n";
    let before = upstream.seen().len();
    assert_eq!(demo.post("/v1/environments/env_1", update).status, 200);
    let seen = upstream.seen();
    assert_eq!(seen.len(), before + 1, "whose it is was known since its creation");
    assert_eq!(seen[before].body, update.as_bytes());
}

#[test]
fn what_was_deleted_is_known_to_be_gone() {
    let upstream = one_environment();
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    assert_eq!(demo.post(COLLECTION, r#"{"name":"a"}"#).status, 200);
    assert_eq!(demo.send("DELETE", "/v1/environments/env_1", None).status, 200);
    let before = upstream.seen().len();
    for (method, path, body) in with_id("env_1") {
        demo.send(method, &path, body).expect_error(404, "not_found");
    }
    assert_eq!(upstream.seen().len(), before);
}

#[test]
fn a_failed_look_at_the_owner_is_no_answer_about_the_environment() {
    let upstream = Upstream::start(|number, _| match number {
        0 => Then::respond("529 Overloaded", &[("retry-after", "3")], "{}"),
        1 => Then::respond("401 Unauthorized", &[], "{}"),
        2 => ok("[]"),
        _ => not_found(),
    });
    let envgate = stamping(&upstream);
    let demo = Tenant::demo(&envgate);
    let update = || demo.post("/v1/environments/env_1", "{}");
    let overloaded = update();
    overloaded.expect_error(529, "overloaded_error");
    assert_eq!(overloaded.header("retry-after"), Some("3"));
    update().expect_error(502, "api_error");
    let unreadable = update();
    unreadable.expect_error(502, "api_error");
    assert_eq!(
        unreadable.header("x-should-retry"),
        None,
        "nothing was written, so it may be tried again"
    );
    update().expect_error(404, "not_found");
    assert_eq!(upstream.seen().len(), 4, "no write went up");
}

#[test]
fn a_client_whose_metadata_is_refused_near_the_limit_learns_of_the_reserved_pair() {
    let body = r#"{"error":{"type":"invalid_request_error","message":"metadata: at most 16 pairs"}}"#;
    let upstream = Upstream::always(Then::respond("400 Bad Request", &[], body));
    let envgate = stamping(&upstream);
    let create = |pairs: usize| {
        let metadata: Value = (0..pairs)
            .map(|number| (format!("k{number}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let sent = json!({"name": "a", "metadata": metadata}).to_string();
        let error = Tenant::demo(&envgate)
            .post(COLLECTION, &sent)
            .expect_error(400, "invalid_request");
        error["message"].as_str().unwrap().to_owned()
    };
    assert!(create(16).ends_with("(one pair of the metadata is reserved by the gateway)"));
    assert_eq!(create(3), "metadata: at most 16 pairs");
}
