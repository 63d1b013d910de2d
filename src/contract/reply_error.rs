/// Why a reply of the upstream is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A success whose body is not the JSON object that it should be.
    #[error("the upstream's answer is not the JSON object that it should be")]
    NotAnObject,
    /// A redirect; it is never followed.
    #[error("the upstream answered with a redirect, which is not followed")]
    Redirect,
    /// More bytes than `max_response_bytes`.
    #[error("the upstream's answer is larger than the gateway takes")]
    TooLarge,
    /// The body is compressed although `identity` was asked for.
    #[error("the upstream's answer is compressed although that was not asked for")]
    Encoded,
}
