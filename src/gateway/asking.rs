use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::owner::Claimant;
use super::plans::Served;
use super::record::Record;
use super::reply;
use super::shared_reads::{Freshness, ReadKey, Subject};
use crate::contract::{ApiError, ListQuery, Operation, RefusedReply, Target};
use crate::tenancy::{Caller, Plan};
use crate::upstream::{BETA, Failure, Reply, Underway, VERSION};

/// A caller before the upstream: who asks, by which plan and credential, and with which header, translated.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) caller: &'a Caller,
    served: &'a Served,
    headers: &'a HeaderMap,
    /// How new the replies to its reads have to be.
    pub(super) freshness: Freshness,
    underway: &'a Underway,
}

impl<'a> Asking<'a> {
    pub(super) const fn new(
        caller: &'a Caller,
        served: &'a Served,
        headers: &'a HeaderMap,
        freshness: Freshness,
        underway: &'a Underway,
    ) -> Self {
        Self {
            caller,
            served,
            headers,
            freshness,
            underway,
        }
    }

    pub(super) const fn plan(&self) -> &'a Plan {
        &self.served.plan
    }

    /// All that the reply to a read depends on; none for what is no read.
    pub(super) fn read_key(&self, target: &Target, query: &ListQuery) -> Option<ReadKey> {
        let subject = match (target.operation, &target.environment) {
            (Operation::List, _) => Subject::List,
            (Operation::Retrieve, Some(id)) => {
                Subject::Environment(id.clone(), self.caller.tenant.id.clone())
            }
            _ => return None,
        };
        Some(ReadKey {
            subject,
            access: Arc::clone(&self.served.access),
            dialect: self.plan().dialect.name,
            version: self.headers.get(VERSION).cloned(),
            betas: self.headers.get(BETA).cloned(),
            path_and_query: path_and_query(target, query),
        })
    }

    pub(super) const fn claimant(&self) -> Claimant<'a> {
        Claimant {
            caller: self.caller,
            access: &self.served.access,
        }
    }

    /// Sends one request up and waits for the whole reply. The answer's request id becomes the upstream's.
    pub(super) async fn ask(
        &self,
        target: &Target,
        query: &ListQuery,
        body: Bytes,
        record: &mut Record,
    ) -> Result<Reply, ApiError> {
        let upstream = &self.served.upstream;
        let operation = target.operation;
        record.begin_asking();
        let outcome = upstream
            .send(
                operation,
                &path_and_query(target, query),
                self.headers.clone(),
                body,
                self.underway,
            )
            .await;
        record.end_asking();
        let reply = outcome.map_err(|failure| {
            tracing::warn!(operation = operation.name(), %failure, "no reply from the upstream");
            error_of(&failure, operation.is_write())
        })?;
        if let Some(request_id) = reply::request_id(&reply) {
            record.name_as_upstream(request_id);
        }
        if reply.status.is_success() {
            return Ok(reply);
        }
        Ok(Reply {
            body: upstream.redact(reply.body),
            ..reply
        })
    }
}

/// The canonical path, and a query made anew from what was understood of the client's.
fn path_and_query(target: &Target, query: &ListQuery) -> String {
    let (path, query) = (target.path(), query.to_query_string());
    if query.is_empty() {
        path
    } else {
        format!("{path}?{query}")
    }
}

/// What a missing reply means for the client.
const fn error_of(failure: &Failure, after_write: bool) -> ApiError {
    match failure {
        Failure::LeftAlone(retry_after) => ApiError::UpstreamLeftAlone {
            retry_after: *retry_after,
        },
        Failure::Unreachable(_) => ApiError::UpstreamUnreachable,
        Failure::ConnectTimeout(_) => ApiError::UpstreamConnectTimeout,
        Failure::Timeout(_) => ApiError::UpstreamTimeout { after_write },
        Failure::Broken(_) => ApiError::UpstreamBroken { after_write },
        Failure::TooLarge => ApiError::UpstreamReply {
            reason: RefusedReply::TooLarge,
            after_write,
        },
    }
}
