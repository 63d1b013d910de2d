use axum::body::Body;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::refusal::Refusal;
use crate::contract::{ApiError, Dialect, Operation, Rule, Strictness, parse_document};
use crate::server::{ReadBodyError, read_body};

/// The largest request body: 32 MB.
pub(super) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Objects are closed. For host names the upstream publishes no pattern, so it takes any.
const STRICTNESS: Strictness = Strictness {
    unknown_field: Rule::Reject,
    host_format: Rule::Allow,
};

/// Reads a body whole.
pub(super) async fn read(body: Body) -> Result<Bytes, Refusal> {
    read_body(body, MAX_BYTES).await.map_err(|error| match error {
        ReadBodyError::TooLarge => ApiError::BodyTooLarge { limit: MAX_BYTES }.into(),
        ReadBodyError::Incomplete => ApiError::BadRequest("the body did not arrive whole".into()).into(),
    })
}

/// Operations without a body take none, or an empty object, which some clients send for none.
pub(super) fn refuse_any(bytes: &[u8]) -> Result<(), Refusal> {
    match bytes.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => Err(ApiError::UnexpectedBody.into()),
    }
}

/// The parameters that a body carries, once it is accepted.
pub(super) fn params<P: DeserializeOwned>(operation: Operation, bytes: &[u8]) -> Result<P, Refusal> {
    let document = accept(operation, bytes)?;
    serde_json::from_value(document).map_err(invalid)
}

/// Takes the bytes of a body for a document of its operation, or refuses them: the one place where bodies are
/// validated.
fn accept(operation: Operation, bytes: &[u8]) -> Result<Value, Refusal> {
    let document = parse_document(bytes).map_err(ApiError::Document)?;
    Dialect::ANTHROPIC
        .validate(operation, &document, STRICTNESS)
        .map_err(ApiError::Violations)?;
    Ok(document)
}

fn invalid(error: serde_json::Error) -> Refusal {
    ApiError::BadRequest(format!("the body is not valid: {error}").into()).into()
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    /// A body without an announced length.
    fn streamed(chunk: Bytes, count: usize) -> Body {
        Body::from_stream(stream::iter(
            (0..count).map(move |_| Ok::<_, io::Error>(chunk.clone())),
        ))
    }

    #[tokio::test]
    async fn a_body_that_grows_over_the_limit_is_refused() {
        let megabyte = Bytes::from(vec![b' '; 1024 * 1024]);
        let whole = read(streamed(megabyte.clone(), 32)).await.unwrap();
        assert_eq!(whole.len(), MAX_BYTES);
        let refusal = read(streamed(megabyte, 33)).await.unwrap_err();
        assert!(
            matches!(refusal, Refusal::Api(ApiError::BodyTooLarge { limit: MAX_BYTES })),
            "{refusal:?}"
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let broken = stream::iter([Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset))]);
        let refusal = read(Body::from_stream(broken)).await.unwrap_err();
        assert!(
            matches!(refusal, Refusal::Api(ApiError::BadRequest(_))),
            "{refusal:?}"
        );
    }
}
