//! What is refused before an environment is looked at: credentials, versions, paths, bodies.

use http::header::ALLOW;
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{COLLECTION, CREDENTIAL, Reply, Service, request};

/// Sends a list request with one header replaced by any number of others.
async fn list_with(service: &Service, name: &'static str, values: &[&'static str]) -> Reply {
    let mut request = request(Method::GET, COLLECTION, "");
    request.headers_mut().remove(name);
    for value in values {
        request
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    }
    service.send(request).await
}

#[tokio::test]
async fn one_right_x_api_key_lets_in_and_nothing_else() {
    let service = Service::start().await;
    for values in [
        &[][..],
        &[""],
        &["sk-ant-of-the-operatoR"],
        &["sk-ant"],
        &[CREDENTIAL, CREDENTIAL],
    ] {
        let reply = list_with(&service, "x-api-key", values).await;
        let message = reply.refused(401, "authentication_error");
        assert!(message.contains("x-api-key"), "{values:?}: {message}");
        assert!(!message.contains("sk-ant"), "{values:?}: {message}");
    }
    list_with(&service, "x-api-key", &[CREDENTIAL]).await.ok();
}

#[tokio::test]
async fn the_version_is_a_date() {
    let service = Service::start().await;
    for values in [
        &[][..],
        &[""],
        &["latest"],
        &["2023-6-1"],
        &["2023-06-01-1"],
        &["20230601"],
    ] {
        let reply = list_with(&service, "anthropic-version", values).await;
        let message = reply.refused(400, "invalid_request_error");
        assert!(message.contains("anthropic-version"), "{values:?}: {message}");
    }
    for version in ["2023-06-01", "2026-10-21"] {
        list_with(&service, "anthropic-version", &[version]).await.ok();
    }
}

#[tokio::test]
async fn the_beta_of_this_api_is_named_somewhere() {
    let service = Service::start().await;
    for values in [
        &[][..],
        &[""],
        &["other-2026-01-01"],
        &["managed-agents-2026-04-0"],
    ] {
        let reply = list_with(&service, "anthropic-beta", values).await;
        let message = reply.refused(400, "invalid_request_error");
        assert!(
            message.contains("managed-agents-2026-04-01"),
            "{values:?}: {message}"
        );
    }
    for values in [
        &["managed-agents-2026-04-01"][..],
        &["files-api-2025-04-14, managed-agents-2026-04-01,x"],
        &["files-api-2025-04-14", "managed-agents-2026-04-01"],
        &["managed-agents-2026-04-01,managed-agents-2026-04-01"],
        &["managed-agents-2027-01-01"],
    ] {
        list_with(&service, "anthropic-beta", values).await.ok();
    }
}

#[tokio::test]
async fn other_paths_ids_and_methods_are_told_apart() {
    let service = Service::start().await;
    for path in [
        "/",
        "/v1/sessions",
        "/v1/environments/env_1",
        "/v1/environments/env_1/work",
        "/v1/environments/a%2Fb",
    ] {
        service.get(path).await.refused(404, "not_found_error");
    }
    for (method, path, allow) in [
        (Method::PUT, "/v1/environments", "GET, HEAD, OPTIONS, POST"),
        (
            Method::PATCH,
            "/v1/environments/env_1",
            "DELETE, GET, HEAD, OPTIONS, POST",
        ),
        (Method::GET, "/v1/environments/env_1/archive", "OPTIONS, POST"),
    ] {
        let reply = service.send(request(method, path, "")).await;
        reply.refused(405, "invalid_request_error");
        assert_eq!(reply.headers[ALLOW], allow, "{path}");
        let told = service.send(request(Method::OPTIONS, path, "")).await;
        assert_eq!((told.status, told.headers[ALLOW].to_str().unwrap()), (204, allow));
    }
    let head = service.send(request(Method::HEAD, "/v1/environments", "")).await;
    assert_eq!(head.status, 200);
}

#[tokio::test]
async fn a_body_that_is_no_valid_document_changes_nothing() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "n"})).await;
    let before = service.get(&path).await.ok();
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{} x",
        r#"{"nome": "n"}"#,
        r#"{"name": 1}"#,
        r#"{"metadata": null}"#,
        r#"{"metadata": {"k": 1}}"#,
        r#"{"scope": "world"}"#,
        r#"{"config": {}}"#,
        r#"{"config": {"packages": {"pip": []}}}"#,
        r#"{"config": {"type": "mainframe"}}"#,
        r#"{"config": {"type": "self_hosted", "packages": {}}}"#,
        r#"{"config": {"type": "cloud", "networking": {}}}"#,
        r#"{"config": {"type": "cloud", "networking": {"type": "unrestricted", "allowed_hosts": []}}}"#,
        r#"{"config": {"type": "cloud", "networking": {"type": "limited", "allowed_host": []}}}"#,
        r#"{"config": {"type": "cloud", "packages": {"type": "pakages"}}}"#,
        r#"{"config": {"type": "cloud", "packages": {"conda": []}}}"#,
        r#"{"config": {"type": "cloud", "packages": {"pip": "pandas"}}}"#,
    ] {
        let reply = service.send(request(Method::POST, &path, body)).await;
        reply.refused(400, "invalid_request_error");
    }
    assert_eq!(service.get(&path).await.ok(), before);
}

#[tokio::test]
async fn a_create_needs_a_name_and_takes_no_null_in_metadata() {
    let service = Service::start().await;
    for params in [
        json!({}),
        json!({"name": null}),
        json!({"name": "n", "metadata": {"k": null}}),
        json!({"name": "n", "metadata": null}),
    ] {
        let reply = service.post(COLLECTION, &params).await;
        reply.refused(400, "invalid_request_error");
    }
    assert_eq!(service.get(COLLECTION).await.ok()["data"], json!([]));
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let service = Service::start().await;
    for content_type in [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
    ] {
        let mut create = request(Method::POST, COLLECTION, r#"{"name": "n"}"#);
        create
            .headers_mut()
            .insert("content-type", HeaderValue::from_static(content_type));
        service.send(create).await.ok();
    }
}

#[tokio::test]
async fn operations_without_a_body_take_none_or_an_empty_object() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "n"})).await;
    let archive = format!("{path}/archive");
    for (method, path) in [
        (Method::GET, &path),
        (Method::POST, &archive),
        (Method::DELETE, &path),
    ] {
        let reply = service
            .send(request(method.clone(), path, r#"{"name": "n"}"#))
            .await;
        reply.refused(400, "invalid_request_error");
        service.send(request(method, path, " {} ")).await.ok();
    }
}

#[tokio::test]
async fn a_body_that_announces_more_than_32_mb_is_refused_before_it_comes() {
    let service = Service::start().await;
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let head = format!(
        "POST {COLLECTION} HTTP/1.1\r\nhost: x\r\nx-api-key: {CREDENTIAL}\r\n\
         anthropic-version: 2023-06-01\r\nanthropic-beta: managed-agents-2026-04-01\r\n\
         content-length: 33554433\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let json: Value = serde_json::from_str(body).unwrap();
    assert_eq!(json["error"]["type"], "request_too_large");
}

#[tokio::test]
async fn a_body_of_a_megabyte_is_taken() {
    let service = Service::start().await;
    let hosts: Vec<_> = (0..40_000).map(|n| format!("host-{n:08}.example.com")).collect();
    let params = json!({
        "name": "n",
        "config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": hosts}},
    });
    assert!(params.to_string().len() > 1 << 20);
    let path = service.create(&params).await;
    let stored = service.get(&path).await.ok();
    assert_eq!(stored["config"]["networking"]["allowed_hosts"], json!(hosts));
}

#[tokio::test]
async fn a_refused_body_names_its_fault() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "n"})).await;
    let too_long = json!({"name": "é".repeat(257)}).to_string();
    for (body, code) in [
        (r#"{"name": "a", "n\u0061me": "b"}"#, "duplicate_key"),
        (r#"{"name": "a"} {}"#, "trailing_bytes"),
        (r#"{"name": "a""#, "invalid_json"),
        (too_long.as_str(), "schema_violation"),
        (
            r#"{"config": {"type": "cloud", "networking": {"type": "limited", "allowed_host": []}}}"#,
            "schema_violation",
        ),
    ] {
        let reply = service.send(request(Method::POST, &path, body.to_owned())).await;
        reply.refused(400, "invalid_request_error");
        assert_eq!(reply.code(), code, "{body}");
    }
}
