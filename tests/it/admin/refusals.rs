use super::api::{TENANTS, expect, expect_problem, get, request, send, setup};
use crate::common::client::Connection;

#[test]
fn a_path_or_method_that_there_is_not_is_a_problem() {
    let envgate = setup().start();
    for path in [
        "/api",
        "/api/",
        "/api/v1",
        "/api/v2/tenants",
        "/api/v1/tenants/",
        "/api/v1/tenants/a/b/c",
    ] {
        let problem = expect_problem(&get(&envgate, path), 404, "unknown_path");
        assert_eq!(problem["instance"], path);
    }
    for path in ["/api/v1/tenants/%ff", "/api/v1/tenants/a%00b"] {
        expect_problem(&get(&envgate, path), 404, "unknown_path");
    }
    for (method, path, allow) in [
        ("DELETE", TENANTS, "GET,HEAD,POST"),
        ("PUT", "/api/v1/tenants/demo", "GET,HEAD,PATCH,DELETE"),
        ("GET", "/api/v1/keys/sk-eg-12345678", "DELETE"),
        ("GET", "/api/v1/tenants/demo/environments", "POST"),
        ("POST", "/api/v1/plans", "GET,HEAD"),
    ] {
        let refused = send(&envgate, method, path, "{}");
        expect_problem(&refused, 405, "method_not_allowed");
        assert_eq!(refused.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn a_body_is_json_of_at_most_64_kib_and_has_known_fields() {
    let envgate = setup().start();
    for (body, code) in [
        ("{", "invalid_json"),
        (r#"{"name":"a","n\u0061me":"b"}"#, "duplicate_key"),
        (r#"{"name":"a"} x"#, "trailing_bytes"),
        ("[]", "invalid_body"),
        ("{}", "invalid_body"),
        (r#"{"name":null}"#, "invalid_body"),
        (r#"{"name":"a","plan":{}}"#, "invalid_body"),
        (r#"{"name":""}"#, "bad_tenant_name"),
        (r#"{"name":"a\u0000b"}"#, "bad_tenant_name"),
    ] {
        expect_problem(&send(&envgate, "POST", TENANTS, body), 400, code);
    }
    let unknown = send(
        &envgate,
        "POST",
        TENANTS,
        r#"{"nmae":"a","plan":"default","x":1}"#,
    );
    let problem = expect_problem(&unknown, 400, "invalid_body");
    assert_eq!(
        problem["errors"],
        serde_json::json!([
            {"pointer": "/nmae", "detail": "unknown field \"nmae\"; did you mean name?"},
            {"pointer": "/x", "detail": "unknown field \"x\"; there are name, plan"},
            {"pointer": "/name", "detail": "name: is missing"},
        ])
    );

    let post = || request(&envgate, "POST", TENANTS).body(r#"{"name":"acme"}"#);
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let refused = post().header("content-type", kind).send();
        expect_problem(&refused, 415, "unsupported_media_type");
    }
    expect_problem(&post().send(), 415, "unsupported_media_type");
    let charset = post()
        .header("content-type", "Application/JSON; charset=utf-8")
        .send();
    expect(&charset, 201);
    let again = post().header("content-type", "application/json").send();
    let problem = expect_problem(&again, 409, "duplicate_tenant");
    assert_eq!(problem["detail"], "there is a tenant \"acme\" already");

    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(64 * 1024));
    expect_problem(&send(&envgate, "POST", TENANTS, &large), 413, "body_too_large");
}

#[test]
fn a_body_that_grows_too_large_without_a_length_is_refused() {
    let envgate = setup().start();
    let head = request(&envgate, "POST", TENANTS)
        .header("content-type", "application/json")
        .header("transfer-encoding", "chunked")
        .head_bytes();
    let mut connection = Connection::open(envgate.admin);
    connection.write(&head);
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..17 {
        connection.write(chunk.as_bytes());
    }
    expect_problem(&connection.read_response(), 413, "body_too_large");
}
