use serde_json::{Value, json};

use super::api::{expect, expect_problem, get, request, send, setup};
use crate::common::EXAMPLE;
use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, eventually};

const KEYS: &str = "/api/v1/tenants/demo/keys";

fn issue(envgate: &Envgate, body: &str) -> Value {
    expect(&send(envgate, "POST", KEYS, body), 201)
}

fn text<'a>(content: &'a Value, name: &str) -> &'a str {
    content[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {content}"))
}

fn ask(envgate: &Envgate, key: &str, method: &str) -> Response {
    Request::new(envgate.gateway, method, EXAMPLE)
        .header("x-api-key", key)
        .send()
}

#[test]
fn a_key_that_the_api_made_works_at_the_gateway_and_is_shown_once() {
    let mut envgate = setup().set("ENVGATE_LOG__LEVEL", "debug").start();
    let made = issue(
        &envgate,
        r#"{"label":"ci","expires_at":"30d","operations":["retrieve","list"]}"#,
    );
    let key = text(&made, "key");
    assert_eq!(
        (text(&made, "tenant"), text(&made, "label"), text(&made, "state")),
        ("demo", "ci", "active")
    );
    assert_eq!(
        made["operations"],
        json!(["list", "retrieve"]),
        "in the order of the contract"
    );
    assert_eq!(made["environments"], Value::Null);
    assert_eq!(&key[..14], text(&made, "id"));
    eventually("the key works", || ask(&envgate, key, "GET").status == 200);
    assert_eq!(ask(&envgate, key, "DELETE").status, 403);

    let listed = expect(&get(&envgate, KEYS), 200);
    let told = listed["data"].as_array().unwrap();
    assert_eq!(told.len(), 2, "the demo key and this one");
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("key");
    assert_eq!(told[1], shown);
    assert!(!listed.to_string().contains(key), "{listed}");
    let log = envgate.stop();
    assert!(
        log.contains(text(&made, "id")),
        "what was made is logged by its id"
    );
    assert!(!log.contains(&key[14..]), "and never by its text");
}

#[test]
fn a_key_can_be_for_named_environments() {
    let envgate = setup().start();
    let example = EXAMPLE.rsplit('/').next().unwrap();
    let made = issue(&envgate, &json!({ "environments": [example] }).to_string());
    assert_eq!(made["environments"], json!([example]));
    eventually("the key works", || {
        ask(&envgate, text(&made, "key"), "GET").status == 200
    });
    let other = Request::new(envgate.gateway, "GET", "/v1/environments/env_other")
        .header("x-api-key", text(&made, "key"));
    assert_eq!(other.send().status, 404);
}

#[test]
fn a_rotated_key_goes_on_for_a_day_or_its_grace() {
    let envgate = setup().start();
    let old = issue(&envgate, r#"{"label":"nightly"}"#);
    let path = format!("/api/v1/keys/{}/rotate", text(&old, "id"));
    let rotated = expect(&request(&envgate, "POST", &path).send(), 201);
    assert_eq!(
        (text(&rotated, "label"), text(&rotated["replaces"], "id")),
        ("nightly", text(&old, "id"))
    );
    assert!(text(&rotated["replaces"], "expires_at") > text(&rotated, "created_at"));
    eventually("both work", || {
        [&old, &rotated]
            .iter()
            .all(|key| ask(&envgate, text(key, "key"), "GET").status == 200)
    });
    let path = format!("/api/v1/keys/{}/rotate", text(&rotated, "id"));
    let again = expect(
        &send(&envgate, "POST", &path, r#"{"grace":"0s","expires_at":"2h"}"#),
        201,
    );
    assert!(again["expires_at"].is_string(), "{again}");
    eventually("the one before ended at once", || {
        ask(&envgate, text(&rotated, "key"), "GET").status == 401
    });
    expect_problem(&send(&envgate, "POST", &path, "{}"), 409, "void_key");
}

#[test]
fn a_revoked_key_is_dead_and_can_be_revoked_again() {
    let envgate = setup().start();
    let made = issue(&envgate, "{}");
    let path = format!("/api/v1/keys/{}", text(&made, "id"));
    eventually("the key works", || {
        ask(&envgate, text(&made, "key"), "GET").status == 200
    });
    for _ in 0..2 {
        assert_eq!(request(&envgate, "DELETE", &path).send().status, 204);
    }
    eventually("the key is dead", || {
        ask(&envgate, text(&made, "key"), "GET").status == 401
    });
    let listed = expect(&get(&envgate, KEYS), 200);
    let row = &listed["data"][1];
    assert_eq!(text(row, "state"), "revoked");
    assert!(row["revoked_at"].is_string(), "{row}");
    let unknown = request(&envgate, "DELETE", "/api/v1/keys/sk-eg-XXXXXXXX").send();
    expect_problem(&unknown, 404, "key_not_found");
    let whole_key = format!("/api/v1/keys/{}", envgate.key);
    expect_problem(
        &request(&envgate, "DELETE", &whole_key).send(),
        404,
        "key_not_found",
    );
    assert_eq!(ask(&envgate, &envgate.key, "GET").status, 200);
}

#[test]
fn keys_come_in_pages_the_oldest_first() {
    let envgate = setup().start();
    let mut expected = vec![envgate.key[..14].to_owned()];
    for _ in 0..4 {
        expected.push(text(&issue(&envgate, "{}"), "id").to_owned());
    }
    let mut seen = Vec::new();
    let mut query = "limit=2".to_owned();
    loop {
        let page = expect(&get(&envgate, &format!("{KEYS}?{query}")), 200);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| text(key, "id").to_owned()),
        );
        match page["next_page"].as_str() {
            Some(next) => query = format!("limit=2&page={next}"),
            None => break,
        }
    }
    assert_eq!(seen, expected);
    expect_problem(
        &get(&envgate, "/api/v1/tenants/nobody/keys"),
        404,
        "tenant_not_found",
    );
    expect_problem(
        &send(&envgate, "POST", "/api/v1/tenants/nobody/keys", "{}"),
        404,
        "tenant_not_found",
    );
}

#[test]
fn terms_that_no_key_can_have_are_refused_each_by_its_field() {
    let envgate = setup().start();
    let refused = send(
        &envgate,
        "POST",
        KEYS,
        r#"{"label":7,"expires_at":"tomorrow","operations":["list","updaet",1],"environments":["../x"]}"#,
    );
    let problem = expect_problem(&refused, 400, "invalid_body");
    let pointers: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| text(fault, "pointer"))
        .collect();
    assert_eq!(
        pointers,
        [
            "/label",
            "/expires_at",
            "/operations/1",
            "/operations/2",
            "/environments/0"
        ]
    );
    assert!(
        text(&problem, "detail").contains("did you mean update?"),
        "{problem}"
    );
    for (body, code) in [
        (r#"{"operations":[]}"#, "invalid_body"),
        (r#"{"expires_at":"2020-01-01"}"#, "past_expiry"),
        (r#"{"label":""}"#, "bad_label"),
    ] {
        expect_problem(&send(&envgate, "POST", KEYS, body), 400, code);
    }
    let many: Vec<_> = (0..101).map(|number| format!("env_{number}")).collect();
    let refused = send(
        &envgate,
        "POST",
        KEYS,
        &json!({ "environments": many }).to_string(),
    );
    expect_problem(&refused, 400, "too_many_environments");
    assert_eq!(
        expect(&get(&envgate, KEYS), 200)["data"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "nothing was made"
    );
}
