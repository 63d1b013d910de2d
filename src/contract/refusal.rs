use std::borrow::Cow;

use http::StatusCode;
use serde_json::value::RawValue;

use super::envelope::error_type_of;
use super::{ApiError, Member, Object, RefusedReply, UpstreamRefusal};

/// An upstream reply that is no success.
#[derive(Debug)]
pub struct Refused {
    /// What the tenant is told.
    pub error: ApiError,
    /// What the upstream said, for the log.
    pub upstream_message: Option<String>,
}

/// Reads an upstream reply that is no success, and decides what of it is for the tenant. Message and details pass
/// where they are about the request; the operator's own troubles (a refused credential, an unpaid bill, limits,
/// faults) are told in our words. A body that is no error envelope at all still makes a good error.
///
/// `after_write` says whether the request may have changed something. The headers of an [`UpstreamRefusal`] are the
/// caller's to fill in.
///
/// ```
/// use envgate::contract::{Dialect, refusal};
/// use http::StatusCode;
///
/// let refused = refusal(StatusCode::UNAUTHORIZED, br#"{"error": {"message": "invalid x-api-key"}}"#, false);
/// assert_eq!(refused.error.status(), StatusCode::BAD_GATEWAY);
/// assert_eq!(refused.upstream_message.as_deref(), Some("invalid x-api-key"));
/// ```
#[must_use]
pub fn refusal(status: StatusCode, body: &[u8], after_write: bool) -> Refused {
    let said = std::str::from_utf8(body).map_or_else(|_| Said::default(), Said::read);
    let error = match status.as_u16() {
        401 | 402 => ApiError::UpstreamCredential,
        403 if !said.has_error_code => ApiError::UpstreamCredential,
        300..=399 => ApiError::UpstreamReply {
            reason: RefusedReply::Redirect,
            after_write,
        },
        400..=599 => ApiError::Upstream(Box::new(said.refusal(status))),
        _ => ApiError::UpstreamReply {
            reason: RefusedReply::NotAnObject,
            after_write,
        },
    };
    Refused {
        error,
        upstream_message: said.message,
    }
}

/// What could be read of an upstream's error envelope.
#[derive(Default)]
struct Said {
    error_type: Option<String>,
    message: Option<String>,
    details: Option<Box<RawValue>>,
    has_error_code: bool,
}

impl Said {
    fn read(text: &str) -> Self {
        let envelope = Object::read(text);
        let Some(error) = envelope.and_then(|envelope| envelope.object_in(envelope.member("error")?)) else {
            return Self::default();
        };
        let string = |name| error.member(name).and_then(string);
        let details = error
            .member("details")
            .and_then(|details| error.object_in(details));
        Self {
            error_type: string("type").filter(|name| is_token(name)),
            message: string("message").filter(|message| !message.trim().is_empty()),
            has_error_code: details
                .as_ref()
                .and_then(|details| details.member("error_code"))
                .is_some_and(|code| !code.is_null()),
            details: details
                .and_then(|_| error.member("details"))
                .and_then(|details| serde_json::from_str(details.value).ok()),
        }
    }

    fn refusal(&self, status: StatusCode) -> UpstreamRefusal {
        let is_about_the_request = matches!(status.as_u16(), 400 | 403 | 404 | 409 | 412 | 413 | 422);
        let passing = is_about_the_request.then_some(self);
        UpstreamRefusal {
            status,
            error_type: match &self.error_type {
                Some(name) => Cow::Owned(name.clone()),
                None => Cow::Borrowed(error_type_of(status)),
            },
            message: passing
                .and_then(|said| said.message.clone())
                .unwrap_or_else(|| message_of(status)),
            details: passing.and_then(|said| said.details.clone()),
            headers: Vec::new(),
        }
    }
}

/// A member's value where it is a string.
fn string(member: &Member<'_>) -> Option<String> {
    serde_json::from_str(member.value).ok()
}

/// Whether a text can be the name of an error: it becomes part of an answer and of what clients compare.
fn is_token(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(is_legal)
}

fn message_of(status: StatusCode) -> String {
    match status.as_u16() {
        404 => "environment not found".to_owned(),
        408 | 504 => "the upstream did not answer in time".to_owned(),
        409 => "the environment was changed at the same time; try again".to_owned(),
        413 => "the body is larger than the upstream takes".to_owned(),
        429 => "the upstream's rate limit is reached; try again later".to_owned(),
        529 => "the upstream is overloaded; try again later".to_owned(),
        500..=599 => format!("the upstream failed with status {}", status.as_u16()),
        _ => format!("the upstream refused the request with status {}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests;
