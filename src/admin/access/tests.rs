use std::collections::BTreeMap;

use axum::body::Body;

use super::*;
use crate::config::{AdminToken, Secret};

fn settings(token: Option<&str>, client_rights: Option<Rights>) -> config::Admin {
    let ci = AdminToken {
        token: Secret::new("token-of-ci".to_owned()),
        rights: Rights::Keys,
    };
    let tokens = token.map(|_| ("ci".to_owned(), ci));
    config::Admin {
        address: ([0, 0, 0, 0], 9090).into(),
        token: token.map(|token| Secret::new(token.to_owned())),
        tokens: BTreeMap::from_iter(tokens),
        metrics_token: None,
        client_rights,
        tls: None,
    }
}

fn request(method: Method, peer: [u8; 4], token: Option<&str>) -> Request {
    let mut request = Request::builder().method(method).uri("/api/v1/tenants");
    request = request.header(HOST, "127.0.0.1:9090");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer = SocketAddr::from((peer, 40_000));
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

const HERE: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [192, 0, 2, 1];

#[test]
fn beyond_this_machine_nobody_is_let_in_without_a_token() {
    let found = |settings: &config::Admin, method: Method, peer, token| match identify(
        settings,
        &request(method, peer, token),
    ) {
        Ok(actor) => format!("{} {}", actor.name, actor.rights.name()),
        Err(problem) => problem.into_response().status().as_u16().to_string(),
    };
    let open = settings(None, None);
    assert_eq!(found(&open, Method::GET, HERE, None), "this machine read");
    assert_eq!(found(&open, Method::POST, HERE, None), "401");
    assert_eq!(found(&open, Method::GET, ELSEWHERE, None), "403");
    assert_eq!(found(&open, Method::GET, ELSEWHERE, Some("anything")), "403");
    assert_eq!(found(&open, Method::POST, ELSEWHERE, None), "401");
    let closed = settings(Some("token-of-all"), None);
    for peer in [HERE, ELSEWHERE] {
        assert_eq!(found(&closed, Method::GET, peer, None), "401");
        assert_eq!(found(&closed, Method::GET, peer, Some("token-of-al")), "401");
        assert_eq!(
            found(&closed, Method::POST, peer, Some("token-of-all")),
            "admin.token all"
        );
        assert_eq!(
            found(&closed, Method::GET, peer, Some("token-of-ci")),
            "admin.tokens.ci keys"
        );
    }
    let by_certificate = settings(None, Some(Rights::All));
    assert_eq!(
        found(&by_certificate, Method::GET, ELSEWHERE, None),
        "403",
        "where none was shown"
    );
}

#[test]
fn only_loopback_addresses_are_this_machine() {
    for host in [
        "127.0.0.1",
        "127.0.0.1:9090",
        "[::1]",
        "[::1]:9090",
        "127.8.9.1:1",
    ] {
        assert!(is_loopback_literal(host), "{host}");
    }
    for host in [
        "localhost",
        "localhost:9090",
        "127.0.0.1.evil.example",
        "evil.example",
        "10.0.0.1:9090",
        "0.0.0.0",
        "::1",
        "[::1",
        "[127.0.0.1]",
        "127.1",
        "2130706433",
        "127.0.0.1:",
        "127.0.0.1:99999",
        "user@127.0.0.1",
        "",
    ] {
        assert!(!is_loopback_literal(host), "{host}");
    }
}

#[test]
fn an_origin_must_be_the_hosts_own() {
    let is_own = |origin: Option<&str>, host: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        is_same_origin(&headers)
    };
    assert!(is_own(None, "a:1"));
    assert!(is_own(Some("http://A:1"), "a:1"));
    assert!(is_own(Some("https://admin.example"), "admin.example"));
    for origin in [
        "http://a:2",
        "http://a",
        "null",
        "",
        "a:1",
        "http://a:1.evil.example",
        "ftp://a:1",
    ] {
        assert!(!is_own(Some(origin), "a:1"), "{origin}");
    }
}

#[test]
fn keys_and_all_else_need_rights_of_their_own() {
    for (method, path, right) in [
        (Method::GET, "/api/v1/tenants", Rights::Read),
        (Method::HEAD, "/api/v1/audit", Rights::Read),
        (Method::POST, "/api/v1/tenants/acme/keys", Rights::Keys),
        (Method::DELETE, "/api/v1/keys/sk-eg-12345678", Rights::Keys),
        (Method::POST, "/api/v1/keys/sk-eg-12345678/rotate", Rights::Keys),
        (Method::POST, "/api/v1/tenants", Rights::All),
        (Method::DELETE, "/api/v1/tenants/keys", Rights::All),
        (Method::PATCH, "/api/v1/tenants/acme", Rights::All),
        (Method::POST, "/api/v1/tenants/acme/environments", Rights::All),
        (Method::POST, "/api/v1/tenants/acme/keys/other", Rights::All),
        (Method::POST, "/api/v1/reload", Rights::All),
        (Method::OPTIONS, "/api/v1/tenants", Rights::All),
    ] {
        assert_eq!(needed(&method, path), right, "{method} {path}");
    }
}
