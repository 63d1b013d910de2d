//! A gateway with a token, and requests to its admin API.

use serde_json::Value;

use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup};

pub(crate) const TOKEN: &str = "the-token-of-the-operator";
pub(crate) const TENANTS: &str = "/api/v1/tenants";

pub(crate) fn setup() -> Setup {
    Setup::new().set("ENVGATE_ADMIN__TOKEN", TOKEN)
}

/// A request with the token.
pub(crate) fn request(envgate: &Envgate, method: &str, path: &str) -> Request {
    Request::new(envgate.admin, method, path).header("authorization", &format!("Bearer {TOKEN}"))
}

/// A request with the token and a JSON body.
pub(crate) fn send(envgate: &Envgate, method: &str, path: &str, body: &str) -> Response {
    request(envgate, method, path)
        .header("content-type", "application/json")
        .body(body)
        .send()
}

pub(crate) fn get(envgate: &Envgate, path: &str) -> Response {
    request(envgate, "GET", path).send()
}

/// The body of an answer with this status.
#[track_caller]
pub(crate) fn expect(response: &Response, status: u16) -> Value {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    response.json()
}

/// The problem that an answer is, whole and with this status and code.
#[track_caller]
pub(crate) fn expect_problem(response: &Response, status: u16, code: &str) -> Value {
    let problem = response.json();
    assert_eq!(
        (response.status, &problem["code"]),
        (status, &code.into()),
        "{problem}"
    );
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], format!("urn:envgate:problem:{code}"));
    for name in ["title", "detail"] {
        assert!(
            problem[name].as_str().is_some_and(|text| !text.is_empty()),
            "{problem}"
        );
    }
    assert!(
        problem["instance"].as_str().unwrap().starts_with("/api"),
        "{problem}"
    );
    problem
}
