//! Who may use the admin API, and for what.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Admin;
use super::actor::Actor;
use super::problem::Problem;
use super::refused_tokens::RefusedTokens;
use crate::config::{self, Rights};
use crate::server::ShownCertificate;
use crate::tenancy::{ClientCertificate, bearer_token};

const NO_TOKEN: Problem = Problem::Unauthorised(
    "no token is set, so nothing can be changed here; set admin.token and send it as Authorization: Bearer",
);
const NO_SUCH_TOKEN: Problem = Problem::Unauthorised("send the admin token as Authorization: Bearer");
const NO_METRICS_TOKEN: Problem = Problem::Unauthorised("send admin.metrics_token as Authorization: Bearer");
const NOT_THIS_HOST: Problem = Problem::Forbidden(
    "without a token the API answers only where Host is a loopback address such as 127.0.0.1:9090, and no name: a \
     web page could have made the name point here; set admin.token",
);
const NOT_THIS_MACHINE: Problem =
    Problem::Forbidden("without a token the API answers this machine alone; set admin.token");
const OTHER_ORIGIN: Problem = Problem::Forbidden("pages of another origin may not change anything here");

/// What judges who asks.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) admin: Admin,
    pub(super) refused: Arc<RefusedTokens>,
}

/// Lets a request through to the API, with whom it is from, or says why not.
pub(super) async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    match check(&guard.admin, &request) {
        Ok(actor) => {
            request.extensions_mut().insert(actor);
            next.run(request).await
        }
        Err(problem) => guard.refuse(problem, &request),
    }
}

/// Lets a request through to the metrics: any, unless they have a token.
pub(super) async fn admit_to_metrics(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match check_metrics(&guard.admin.settings.load().admin, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => guard.refuse(problem, &request),
    }
}

impl Guard {
    fn refuse(&self, problem: Problem, request: &Request) -> Response {
        if matches!(problem, Problem::Unauthorised(_)) {
            self.refused.note(peer(request));
        }
        problem.into_response()
    }
}

fn check(admin: &Admin, request: &Request) -> Result<Actor, Problem> {
    let headers = request.headers();
    let is_read = is_read(request.method());
    let actor = identify(&admin.settings.load().admin, request)?;
    let needed = needed(request.method(), request.uri().path());
    if actor.rights < needed {
        return Err(Problem::RightMissing {
            needed,
            actor: actor.name,
            has: actor.rights,
        });
    }
    if !is_read && !is_same_origin(headers) {
        return Err(OTHER_ORIGIN);
    }
    Ok(actor)
}

/// Whom a request is from. A token goes before a certificate; who sends a wrong one is turned away whatever else
/// they show.
fn identify(settings: &config::Admin, request: &Request) -> Result<Actor, Problem> {
    let peer = peer(request);
    let has_tokens = settings.api_tokens().next().is_some();
    if let Some(rights) = settings.client_rights
        && !request.headers().contains_key(AUTHORIZATION)
        && let Some(name) = certificate_name(request)
    {
        return Ok(Actor { name, rights, peer });
    }
    if has_tokens {
        let (name, rights) = with_token(settings, request.headers()).ok_or(NO_SUCH_TOKEN)?;
        return Ok(Actor { name, rights, peer });
    }
    if !is_read(request.method()) {
        return Err(NO_TOKEN);
    }
    check_loopback(request)?;
    Ok(Actor {
        name: "this machine".to_owned(),
        rights: Rights::Read,
        peer,
    })
}

/// The name of the token that was sent, and what it is good for. It is compared with all there are, so that the
/// time that it takes tells nothing of which it might be.
fn with_token(settings: &config::Admin, headers: &HeaderMap) -> Option<(String, Rights)> {
    let sent = sent_token(headers)?;
    let mut found = None;
    for (name, token, rights) in settings.api_tokens() {
        if token.is(sent) {
            found = Some((name, rights));
        }
    }
    found
}

fn check_metrics(settings: &config::Admin, request: &Request) -> Result<(), Problem> {
    let Some(token) = &settings.metrics_token else {
        return Ok(());
    };
    let headers = request.headers();
    let is_metrics_token = sent_token(headers).is_some_and(|sent| token.is(sent));
    let is_known = with_token(settings, headers).is_some();
    let shows_certificate = settings.client_rights.is_some()
        && !headers.contains_key(AUTHORIZATION)
        && certificate_name(request).is_some();
    if is_metrics_token || is_known || shows_certificate {
        Ok(())
    } else {
        Err(NO_METRICS_TOKEN)
    }
}

fn sent_token(headers: &HeaderMap) -> Option<&[u8]> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let (Some(sent), None) = (sent.next(), sent.next()) else {
        return None;
    };
    bearer_token(sent.as_bytes())
}

/// Whoever has shown a certificate, as the audit tells them.
fn certificate_name(request: &Request) -> Option<String> {
    const LONGEST: usize = 256;
    let ShownCertificate(certificate) = request.extensions().get()?;
    let subject = ClientCertificate::read(certificate)?.subject;
    let subject = subject.chars().filter(|character| !character.is_control());
    Some(format!(
        "certificate {}",
        subject.take(LONGEST).collect::<String>()
    ))
}

fn peer(request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map(|ConnectInfo(peer)| peer.ip().to_canonical())
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// What a request needs: the right of everything, unless it reads, or makes and ends keys.
fn needed(method: &Method, path: &str) -> Rights {
    if is_read(method) {
        return Rights::Read;
    }
    let mut parts = path.trim_start_matches('/').split('/');
    let parts: [_; 6] = std::array::from_fn(|_| parts.next());
    match parts {
        [Some("api"), Some("v1"), Some("keys"), Some(_), ..]
        | [
            Some("api"),
            Some("v1"),
            Some("tenants"),
            Some(_),
            Some("keys"),
            None,
        ] => Rights::Keys,
        _ => Rights::All,
    }
}

/// Both the one who asks and the name by which they ask must be this machine. A name that a web page controls
/// can be made to point here, an address cannot.
fn check_loopback(request: &Request) -> Result<(), Problem> {
    if !peer(request).is_some_and(|peer| peer.is_loopback()) {
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
mod tests;
