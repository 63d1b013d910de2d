use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_util::FutureExt;
use pingora::modules::http::HttpModules;
use pingora::proxy::{ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use prometheus::IntGauge;

use super::answer;
use super::exchange::Gateway;
use super::record::Record;
use crate::contract::ApiError;

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
        let mut record = Record::start();

        let exchange = AssertUnwindSafe(gateway.exchange(session, &mut record)).catch_unwind();
        let outcome = exchange.await.unwrap_or_else(|_panic| {
            gateway.metrics.panics.inc();
            Err(ApiError::Internal)
        });
        let (answer, error) = match outcome {
            Ok(answer) => (answer, None),
            Err(error) => (gateway.answer_to(&error, &mut record), Some(error)),
        };
        let status = answer.status;
        let written = answer::write(session, answer, gateway.is_stopping.load(Ordering::Relaxed)).await;
        record.finish(&gateway.metrics, status, error.as_ref());
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
