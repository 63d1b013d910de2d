use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadBodyError {
    /// It is larger than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// It did not arrive whole.
    #[error("the body did not arrive whole")]
    Incomplete,
}

/// Reads a body whole. One whose announced length is over `limit` is refused before it is read.
///
/// # Errors
/// [`ReadBodyError`]
pub async fn read_body<B>(body: B, limit: usize) -> Result<Bytes, ReadBodyError>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |length| length > limit) {
        return Err(ReadBodyError::TooLarge);
    }
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadBodyError::TooLarge),
        Err(_) => Err(ReadBodyError::Incomplete),
    }
}
