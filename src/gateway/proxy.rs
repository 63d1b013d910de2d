use std::sync::Arc;

use async_trait::async_trait;
use pingora::modules::http::HttpModules;
use pingora::proxy::{ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::exchange::answer_request;
use super::state::Gateway;

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
        answer_request(&self.0, session.as_mut()).await.map(|()| true)
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
