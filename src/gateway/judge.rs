//! Judging a request: what its head and its body tell, without a socket and without asking anybody.
//!
//! Two calls, because the head is judged before a byte of the body is read or asked for.

use bytes::Bytes;
use http::HeaderValue;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Gateway;
use super::configuration::Configuration;
use super::plans::ResolvedPlan;
use super::request_log::Identity;
use crate::contract::{
    ApiError, AuthenticationFailure, RequestQuery, Target, Warnings, check_media_type, parse_document,
};
use crate::tenancy::{self, Caller, ClientCertificate};

/// What the head of a request asks for, and who asks: known, and within their rights.
pub(super) struct JudgedHead<'g> {
    pub(super) target: Target,
    pub(super) caller: Caller,
    pub(super) plan: &'g ResolvedPlan,
    pub(super) query: RequestQuery,
    pub(super) betas: HeaderValue,
    pub(super) dropped_query_names: u64,
}

/// A request body that may go up: the client's own bytes, what they say, and what was let through with a
/// warning.
#[derive(Default)]
pub(super) struct Document {
    pub(super) bytes: Bytes,
    pub(super) value: Value,
    pub(super) warnings: Warnings,
}

/// Judges all that a head tells. What it finds out of who asks for what is in `identity`, even if it fails.
pub(super) fn judge_head<'g>(
    gateway: &'g Gateway,
    configuration: &'g Configuration,
    certificate: Option<&ClientCertificate>,
    head: &Parts,
    identity: &mut Identity<'g>,
) -> Result<JudgedHead<'g>, ApiError> {
    // Before the caller, so that a wrong path says so whoever asks.
    let target = Target::find(&head.method, head.uri.path())?;
    identity.operation = Some(target.operation);

    // Before the body, so that nobody without a key can make the gateway read one.
    let credential = tenancy::credential(&head.headers)?;
    let caller = match gateway.directory.caller(credential.key, Timestamp::now()) {
        Err(ApiError::Unauthenticated {
            failure: AuthenticationFailure::Unknown,
            ..
        }) => Err(gateway
            .unknown_keys
            .refuse(&configuration.listen, identity.client)),
        outcome => outcome,
    };
    let caller = caller.map_err(|error| error.of_credential_in(credential.header))?;
    identity.caller = Some(caller.clone());
    identity.environment.clone_from(&target.environment);

    // From here on the plan says what may be done, and everything that follows is done in its way.
    let plan = configuration.plans.of(&caller.tenant)?;
    identity.plan = Some(plan);
    gateway.owners.check_alone(&gateway.directory, &plan.sharing)?;

    // A key alone is not enough where the plan wants to know who uses it.
    plan.plan.admits(certificate)?;

    // Before the body as well: what plan and key may not do is known without it.
    plan.plan.may(target.operation)?;
    caller.may(&target)?;

    // Before the body too: a wrong parameter or label is known without it.
    let (query, dropped) = RequestQuery::parse(target.operation, head.uri.query())?;
    identity.is_forced = query.is_forced;
    plan.plan.may_ask(&query)?;
    let betas = plan.plan.betas.for_upstream(&head.headers)?;
    if target.operation.takes_body() {
        check_media_type(&head.headers)?;
    }
    Ok(JudgedHead {
        target,
        caller,
        plan,
        query,
        betas,
        dropped_query_names: u64::try_from(dropped).unwrap_or(u64::MAX),
    })
}

/// Judges a body on a parsed copy; the bytes themselves go up as they came.
pub(super) fn judge_body(
    gateway: &Gateway,
    head: &JudgedHead<'_>,
    bytes: Bytes,
) -> Result<Document, ApiError> {
    let operation = head.target.operation;
    if !operation.takes_body() {
        return match bytes.trim_ascii() {
            b"" | b"{}" => Ok(Document::default()),
            _ => Err(ApiError::UnexpectedBody),
        };
    }
    let value = parse_document(&bytes).map_err(ApiError::Document)?;
    let warnings = head
        .plan
        .plan
        .validate(operation, &value)
        .and_then(|warnings| gateway.owners.stamp_key.refuse(&value).map(|()| warnings))
        .map_err(ApiError::Violations)?;
    head.plan.plan.check_known(&value).map_err(ApiError::Policy)?;
    Ok(Document {
        bytes,
        value,
        warnings,
    })
}

impl Document {
    /// How many pairs of metadata the client sent.
    pub(super) fn metadata_pairs(&self) -> usize {
        let metadata = self.value.get("metadata").and_then(Value::as_object);
        metadata.map_or(0, Map::len)
    }
}
