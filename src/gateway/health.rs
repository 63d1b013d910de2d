use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use super::Gateway;
use super::configuration::Configuration;
use crate::contract::Answer;

/// Whether requests should be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether they should.
    pub is_ready: bool,
    /// One word for it.
    pub word: &'static str,
}

/// Who knows whether requests should be sent here.
pub(super) type ReadinessCheck = Box<dyn Fn() -> Readiness + Send + Sync>;

/// The answer to a balancer that asks on the tenants' address, if that is what somebody asks.
pub(super) fn answer(gateway: &Gateway, configuration: &Configuration, head: &Parts) -> Option<Answer> {
    let path = configuration.listen.health_path.as_deref()?;
    if head.uri.path() != path || !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let unknown = Readiness {
        is_ready: false,
        word: "starting",
    };
    let readiness = gateway.readiness.get().map_or(unknown, |check| check());
    Some(Answer {
        status: match readiness.is_ready {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        },
        headers: vec![(CONTENT_TYPE, HeaderValue::from_static("text/plain"))],
        body: Bytes::from_static(readiness.word.as_bytes()),
    })
}
