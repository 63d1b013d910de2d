use std::borrow::Cow;

use http::StatusCode;
use serde_json::value::RawValue;

use super::error::error_type_of;
use super::operator_fault::OperatorFault;
use super::{ApiError, Layout, Node, Operation, ReplyError, UpstreamError};
use crate::environment::MergeError;

/// What could be read of the body of an upstream reply that is no success. One that is no error envelope at
/// all still makes a good error.
#[derive(Debug, Default)]
pub struct UpstreamErrorBody {
    error_type: Option<String>,
    message: Option<String>,
    details: Option<Box<RawValue>>,
    error_code: Option<String>,
    has_error_code: bool,
}

impl UpstreamErrorBody {
    /// Reads what is there.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        Self::read_text(body).unwrap_or_default()
    }

    fn read_text(body: &[u8]) -> Option<Self> {
        let envelope = str::from_utf8(body).ok()?;
        let layout = Layout::of(envelope)?;
        let error = layout.object(envelope)?.member("error")?.as_object()?;
        let text = |name| error.member(name).and_then(string);
        let details = error.member("details").and_then(Node::as_object);
        let error_code = details.and_then(|details| details.member("error_code"));
        Some(Self {
            error_type: text("type").filter(|name| is_token(name)),
            message: text("message").filter(|message| !message.trim().is_empty()),
            has_error_code: error_code.is_some_and(|code| !code.is_null()),
            error_code: error_code.and_then(string),
            details: details
                .and_then(|_| error.member("details"))
                .and_then(|details| serde_json::from_str(details.written()).ok()),
        })
    }

    /// What the upstream said, for the log.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// What a 400 with this body blames the operator for, although the status blames the request: it cannot
    /// be the tenant's fault, nor mended by a tenant. `is_sent` says of a text whether it holds anything that
    /// the request told the upstream, by which a tenant could write such a message.
    ///
    /// ```
    /// use envgate::contract::{OperatorFault, UpstreamErrorBody};
    ///
    /// let body = br#"{"error": {"message": "This organization has been disabled."}}"#;
    /// let body = UpstreamErrorBody::read(body);
    /// assert_eq!(body.operator_fault(|_| false), Some(OperatorFault::Disabled));
    /// assert_eq!(body.operator_fault(|_| true), None);
    /// ```
    #[must_use]
    pub fn operator_fault(&self, is_sent: impl FnOnce(&str) -> bool) -> Option<OperatorFault> {
        if let Some(code) = &self.error_code {
            return OperatorFault::of_code(code);
        }
        if self.details.is_some() {
            return None;
        }
        let message = self.message.as_deref()?;
        OperatorFault::of_message(message).filter(|_| !is_sent(message))
    }

    /// Whether a reply with this status and body refuses what the request itself says. What the operator is to blame
    /// for has been told apart before; what depends on the environment as it is stored is no matter of the contract.
    #[must_use]
    pub fn refuses_request(&self, status: StatusCode) -> bool {
        let is_about_request = match status.as_u16() {
            400 => self.error_type.as_deref() == Some(error_type_of(status)),
            422 => true,
            _ => false,
        };
        let code = self.error_code.as_deref();
        is_about_request && !code.is_some_and(|code| MergeError::CODES.contains(&code))
    }

    /// Decides what of the reply is for the tenant. Message and details pass where they are about the
    /// request; the operator's own troubles (a refused credential, an unpaid bill, limits, faults) are told
    /// in our words, and so is what a create conflicts with, which may be another tenant's.
    ///
    /// The headers of an [`UpstreamError`] are the caller's to fill in.
    ///
    /// ```
    /// use envgate::contract::{Operation, UpstreamErrorBody};
    /// use http::StatusCode;
    ///
    /// let body = UpstreamErrorBody::read(br#"{"error": {"message": "invalid x-api-key"}}"#);
    /// let error = body.error(StatusCode::UNAUTHORIZED, Operation::Retrieve);
    /// assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
    /// assert_eq!(body.message(), Some("invalid x-api-key"));
    /// ```
    #[must_use]
    pub fn error(&self, status: StatusCode, operation: Operation) -> ApiError {
        let after_write = operation.is_write();
        match status.as_u16() {
            401 | 402 => ApiError::UpstreamCredential,
            403 if !self.has_error_code => ApiError::UpstreamCredential,
            300..=399 => ApiError::UpstreamReply {
                reason: ReplyError::Redirect,
                after_write,
            },
            400..=599 => ApiError::Upstream(Box::new(self.upstream_error(status, operation))),
            _ => ApiError::UpstreamReply {
                reason: ReplyError::NotAnObject,
                after_write,
            },
        }
    }

    fn upstream_error(&self, status: StatusCode, operation: Operation) -> UpstreamError {
        let is_for_tenants = match status.as_u16() {
            409 => operation != Operation::Create,
            400 | 403 | 404 | 412 | 413 | 422 => true,
            _ => false,
        };
        let passing = is_for_tenants.then_some(self);
        UpstreamError {
            status,
            error_type: match &self.error_type {
                Some(name) => Cow::Owned(name.clone()),
                None => Cow::Borrowed(error_type_of(status)),
            },
            message: passing
                .and_then(|body| body.message.clone())
                .unwrap_or_else(|| message_of(status, operation)),
            details: passing.and_then(|body| body.details.clone()),
            headers: Vec::new(),
        }
    }
}

/// A member's value where it is a string.
fn string(member: Node<'_>) -> Option<String> {
    serde_json::from_str(member.written()).ok()
}

/// Whether a text can be the name of an error: it becomes part of an answer and of what clients compare.
fn is_token(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(is_legal)
}

fn message_of(status: StatusCode, operation: Operation) -> String {
    match (status.as_u16(), operation) {
        (404, _) => "environment not found".to_owned(),
        (408 | 504, _) => "the upstream did not answer in time".to_owned(),
        (409, Operation::Create) => {
            "the environment conflicts with one that exists; give it another name".to_owned()
        }
        (409, Operation::Delete) => "the environment is in use, or work is queued for it".to_owned(),
        (409, _) => "the environment was changed at the same time; try again".to_owned(),
        (413, _) => "the body is larger than the upstream takes".to_owned(),
        (429, _) => "the upstream's rate limit is reached; try again later".to_owned(),
        (529, _) => "the upstream is overloaded; try again later".to_owned(),
        (500..=599, _) => format!("the upstream failed with status {}", status.as_u16()),
        _ => format!("the upstream refused the request with status {}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests;
