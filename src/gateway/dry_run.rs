//! A request on its way without a socket: judged, and answered with a reply that is handed in. Nothing is sent and
//! nobody is waited for, so what a request costs can be counted to the instruction.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use pingora::http::ResponseHeader;

use super::Gateway;
use super::audit::RequestGuard;
use super::configuration::Configuration;
use super::exchange::Exchange;
use super::judge::{Document, JudgedHead, judge_body, judge_head};
use super::received_reply::ReceivedReply;
use super::request_log::Identity;
use super::response::{self, ReadReply};
use super::shared_reads::{Freshness, Reader};
use super::write;
use crate::contract::{Answer, ApiError};
use crate::telemetry::TraceContext;
use crate::upstream::{Reply, WriteSent};

/// Who asks: nobody in particular.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A gateway that nobody reaches, with what holds for all requests to it.
pub struct DryGateway {
    gateway: Gateway,
    configuration: Arc<Configuration>,
}

/// A request that was judged, whatever came of it.
pub struct DryRun<'g> {
    gateway: &'g Gateway,
    configuration: &'g Configuration,
    headers: &'g HeaderMap,
    identity: Identity<'g>,
    judged: Result<(JudgedHead<'g>, Document), ApiError>,
}

/// What would be written to the client.
pub struct DryAnswer {
    header: ResponseHeader,
    body: Bytes,
}

impl DryGateway {
    /// One that goes by what the gateway was built with.
    #[must_use]
    pub fn new(gateway: Gateway) -> Self {
        let configuration = gateway.configuration();
        Self {
            gateway,
            configuration,
        }
    }
}

impl<'g> DryRun<'g> {
    /// The judging half: all that is known before anybody is asked.
    #[must_use]
    pub fn judge(dry: &'g DryGateway, head: &'g Parts, body: Bytes) -> Self {
        let (gateway, configuration) = (&dry.gateway, &*dry.configuration);
        let mut identity = Identity::of_client(CLIENT);
        let judged = judge_head(gateway, configuration, None, head, &mut identity);
        let judged = judged.and_then(|head| Ok((judge_body(gateway, &head, body)?, head)));
        Self {
            gateway,
            configuration,
            headers: &head.headers,
            identity,
            judged: judged.map(|(document, head)| (head, document)),
        }
    }

    /// Keeps the upstream's reply to a read, as if it had just been asked.
    pub async fn remember(&self, reply: Bytes) {
        let (Ok((head, document)), write_sent) = (&self.judged, WriteSent::default()) else {
            return;
        };
        let trace = TraceContext::of_request(self.headers);
        let mut guard = RequestGuard::new(None, &write_sent, CLIENT, trace);
        let exchange = self.exchange(head, document, &mut guard);
        let key = exchange.upstream.read_key(&head.target, &head.query, false);
        let reader = Reader {
            tenant: &head.caller.tenant.id,
            freshness: Freshness::ANY,
            may_wait: false,
            progress: &exchange.upstream.progress(),
        };
        let reply = self.read_reply(head, reply);
        // There is nobody who could fail.
        let _ = self.gateway.reads.read(key, reader, async { Ok(reply) }).await;
    }

    /// The reply half: what the client gets where the upstream grants a write with `reply`, where what was read
    /// before is [remembered](Self::remember), or where the request was refused.
    pub async fn answer(self, reply: Bytes) -> Option<DryAnswer> {
        let write_sent = WriteSent::default();
        let trace = TraceContext::of_request(self.headers);
        let mut guard = RequestGuard::new(self.gateway.audit.as_ref(), &write_sent, CLIENT, trace);
        let outcome = match &self.judged {
            Ok((head, document)) => {
                let mut exchange = self.exchange(head, document, &mut guard);
                if head.target.operation.is_write() {
                    let reply = self.read_reply(head, reply);
                    let asked_at = self.gateway.owners.epoch();
                    let accepted = exchange.take_reply(reply, asked_at, None);
                    accepted.map(|accepted| exchange.answer(accepted))
                } else {
                    exchange.carry_out().await
                }
            }
            Err(error) => {
                let dialect = self.configuration.dialect;
                Ok(response::of_error(error, dialect, guard.log.request_id()))
            }
        };
        guard.identity = self.identity;
        let answer: Answer = outcome.ok()?;
        let (status, error) = (answer.status, self.judged.as_ref().err());
        guard.record_write(status, error);
        let (header, body) = write::into_parts(answer).ok()?;
        let (log, identity) = (&mut guard.log, &guard.identity);
        log.finish(self.gateway, self.configuration, identity, status, error);
        Some(DryAnswer { header, body })
    }

    fn exchange<'a>(
        &'a self,
        head: &'a JudgedHead<'g>,
        document: &'a Document,
        guard: &'a mut RequestGuard<'_>,
    ) -> Exchange<'a> {
        Exchange::new(
            self.gateway,
            self.configuration,
            head,
            document,
            self.headers,
            guard,
        )
    }

    fn read_reply(&self, head: &JudgedHead<'_>, body: Bytes) -> ReadReply {
        let reply = Reply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
        };
        let (dialect, stamp_key) = (head.plan.plan.dialect, &self.gateway.owners.stamp_key);
        let operation = head.target.operation;
        ReadReply::new(ReceivedReply::new(reply), operation, dialect, stamp_key)
    }
}

impl DryAnswer {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.header.status
    }

    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::*;
    use crate::config::{Source, load};
    use crate::telemetry::Metrics;
    use crate::tenancy::{Directory, KeyRecord, KeyText, Tenant, TenantId};

    const ENVIRONMENT: &str = include_str!("../../benches/environment.json");

    fn gateway(key: &KeyText) -> DryGateway {
        let text = "[upstream]\nurl = \"http://127.0.0.1:1\"\ncredential = { env = \"KEY\" }\n[ownership]\nstamp = false\n";
        let settings = load(&Source::new(
            "a.toml",
            text,
            [("KEY".to_owned(), "sk-ant-1".to_owned())],
        ))
        .unwrap();
        let tenant = Tenant {
            id: TenantId::generate().unwrap(),
            name: "a".to_owned(),
            plan: Tenant::DEFAULT_PLAN.to_owned(),
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            is_suspended: false,
        };
        let record = KeyRecord {
            tenant: tenant.id.clone(),
            digest: key.digest(),
            expires_at: None,
            is_revoked: false,
            restrictions: None,
        };
        let (directory, metrics) = (Arc::new(Directory::default()), Arc::new(Metrics::new().unwrap()));
        directory.apply(vec![tenant], vec![record]);
        let service = settings.upstream.service.clone().unwrap();
        DryGateway::new(Gateway::new(&settings, &service, directory, None, metrics).unwrap())
    }

    async fn status(gateway: &DryGateway, method: Method, key: &str, body: &'static str) -> StatusCode {
        let request = Request::builder()
            .method(method)
            .uri("/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW")
            .header("x-api-key", key)
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "managed-agents-2026-04-01")
            .header("content-type", "application/json");
        let (head, ()) = request.body(()).unwrap().into_parts();
        let run = DryRun::judge(gateway, &head, Bytes::from_static(body.as_bytes()));
        let reply = Bytes::from_static(ENVIRONMENT.trim_ascii_end().as_bytes());
        run.remember(reply.clone()).await;
        run.answer(reply).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_request_without_a_socket_comes_to_what_it_would_come_to_with_one() {
        let key = KeyText::generate().unwrap();
        let gateway = gateway(&key);
        let key = key.reveal();
        assert_eq!(
            status(&gateway, Method::POST, key, r#"{"description":"a"}"#).await,
            200
        );
        assert_eq!(
            status(&gateway, Method::POST, key, r#"{"descripton":"a"}"#).await,
            400
        );
        assert_eq!(status(&gateway, Method::POST, "sk-eg-nobodys", "{}").await, 401);
        assert_eq!(status(&gateway, Method::GET, key, "").await, 200);
    }
}
