use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_util::FutureExt;
use pingora::modules::http::HttpModules;
use pingora::proxy::{ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use prometheus::{IntCounter, IntGauge};

use super::answer;
use super::audit::OpenRecord;
use super::state::Gateway;
use crate::contract::ApiError;
use crate::upstream::Underway;

/// What Pingora calls for every request: the border between it and the exchange.
pub(super) struct Proxy(pub(super) Arc<Gateway>);

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    /// Nothing is compressed or filtered on its way down.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    /// Answers every request; the later phases are never reached.
    async fn request_filter(&self, session: &mut Session, _ctx: &mut ()) -> pingora::Result<bool> {
        let gateway = &*self.0;
        let _in_flight = InFlight::enter(&gateway.metrics.in_flight);
        let session = session.as_mut();
        let underway = Underway::default();
        let mut open = OpenRecord::start(gateway, &underway);

        let exchange = gateway.exchange(session, &underway, &mut open.record);
        let outcome = without_panic(exchange, &gateway.metrics.panics).await;
        let (mut answer, error) = match outcome {
            Ok(answer) => (answer, None),
            Err(error) => (gateway.answer_to(&error, &mut open.record), Some(error)),
        };
        gateway.tell_standing(&mut answer, &open.record);
        let status = answer.status;
        // Before the answer is written: a client that does not take it has written all the same.
        open.note_write(status, error.as_ref());
        let written = answer::write(session, answer, gateway.is_stopping.load(Ordering::Relaxed)).await;
        open.record.finish(&gateway.metrics, status, error.as_ref());
        written.map(|()| true)
    }

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Error::e_explain(
            ErrorType::InternalError,
            "every request is answered before a peer is asked for",
        )
    }

    /// Pingora logs this with its errors; its own summary has the query string in it.
    fn request_summary(&self, session: &Session, _ctx: &()) -> String {
        let head = session.as_ref().req_header();
        format!("{} {}", head.method, head.uri.path())
    }
}

/// The border that no panic crosses: the request fails, the worker and its other connections go on. The panic's own
/// message has gone to standard error by then.
fn without_panic<T>(
    exchange: impl Future<Output = Result<T, ApiError>>,
    panics: &IntCounter,
) -> impl Future<Output = Result<T, ApiError>> {
    AssertUnwindSafe(exchange).catch_unwind().map(|outcome| {
        outcome.unwrap_or_else(|_panic| {
            panics.inc();
            Err(ApiError::Internal)
        })
    })
}

/// Counts a request in, and out again however it ends.
struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    fn enter(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Dialect;

    #[tokio::test]
    async fn a_panic_is_counted_and_answered_500_in_the_envelope() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        let error = without_panic::<()>(async { panic!("a fault of the gateway") }, &panics)
            .await
            .unwrap_err();
        assert_eq!(panics.get(), 1);
        let answer = answer::of_error(&error, &Dialect::SANDBASE, "req_1");
        assert_eq!(answer.status, 500);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"]["type"], "api_error");
        assert!(!body.to_string().contains("a fault of the gateway"), "{body}");
        let advice = answer.headers.iter().find(|(name, _)| name == "x-should-retry");
        assert_eq!(advice.unwrap().1, "false", "nobody knows how far it came");
    }

    #[tokio::test]
    async fn what_does_not_panic_passes() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        assert_eq!(without_panic(async { Ok(7) }, &panics).await.unwrap(), 7);
        assert_eq!(panics.get(), 0);
    }
}
