//! Who may use the admin API.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::Admin;
use super::problem::Problem;
use crate::config::Secret;
use crate::tenancy::bearer_token;

const NO_TOKEN: Problem = Problem::Unauthorised(
    "no token is set, so nothing can be changed here; set admin.token and send it as Authorization: Bearer",
);
const NO_SUCH_TOKEN: Problem = Problem::Unauthorised("send the admin token as Authorization: Bearer");
const NOT_THIS_HOST: Problem = Problem::Forbidden(
    "without a token the API answers only where Host is a loopback address such as 127.0.0.1:9090, and no name: a \
     web page could have made the name point here; set admin.token",
);
const NOT_THIS_MACHINE: Problem =
    Problem::Forbidden("without a token the API answers this machine alone; set admin.token");
const OTHER_ORIGIN: Problem = Problem::Forbidden("pages of another origin may not change anything here");

/// Lets a request through to the API, or says why not.
pub(super) async fn admit(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    match check(&admin, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(admin: &Admin, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match &admin.settings.load().admin.token {
        Some(token) => check_token(headers, token)?,
        None if !is_read => return Err(NO_TOKEN),
        None => check_loopback(request)?,
    }
    if !is_read && !is_same_origin(headers) {
        return Err(OTHER_ORIGIN);
    }
    Ok(())
}

fn check_token(headers: &HeaderMap, token: &Secret) -> Result<(), Problem> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let (Some(sent), None) = (sent.next(), sent.next()) else {
        return Err(NO_SUCH_TOKEN);
    };
    match bearer_token(sent.as_bytes()) {
        Some(sent) if bool::from(sent.ct_eq(token.reveal().as_bytes())) => Ok(()),
        _ => Err(NO_SUCH_TOKEN),
    }
}

/// Both the one who asks and the name by which they ask must be this machine. A name that a web page controls
/// can be made to point here, an address cannot.
fn check_loopback(request: &Request) -> Result<(), Problem> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if !peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback()) {
        return Err(NOT_THIS_MACHINE);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(NOT_THIS_HOST);
    };
    // A request line with a whole URL names a host too.
    let authority = request.uri().authority();
    let is_local = host.to_str().is_ok_and(is_loopback_literal)
        && authority.is_none_or(|authority| is_loopback_literal(authority.as_str()));
    if is_local { Ok(()) } else { Err(NOT_THIS_HOST) }
}

/// Whether a `Host` is a loopback address, with or without a port.
fn is_loopback_literal(host: &str) -> bool {
    let without_port = || match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    };
    let with_port = host.parse::<SocketAddr>().ok().map(|address| address.ip());
    with_port.or_else(without_port).is_some_and(|ip| ip.is_loopback())
}

/// Whether a page sent this, and if so, one that came from here. What is no page sends no `Origin`.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next(), headers.get(HOST)) {
        (None, _, _) => true,
        (Some(origin), None, Some(host)) => {
            let origin = origin.as_bytes();
            let authority = origin
                .strip_prefix(b"http://")
                .or_else(|| origin.strip_prefix(b"https://"));
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_bytes()))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
