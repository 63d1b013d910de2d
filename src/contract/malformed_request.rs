use std::time::Duration;

use http::StatusCode;

/// Why what came cannot be taken as a request. Nobody knows what was asked for, or where the next request
/// begins, so nothing that follows on its connection is read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRequest {
    /// It breaks the grammar of HTTP, or says in more than one way what it is.
    #[error("what came is no valid HTTP request: its request line or its header is malformed")]
    Syntax,
    /// The first line is no request line.
    #[error(
        "the request line is malformed: it has to be method, target and HTTP/1.1 with one space between them"
    )]
    RequestLine,
    /// The target has bytes that no target has, or no form that one has.
    #[error(
        "the request target is malformed: it has to begin with / and be printable ASCII, the rest percent-encoded"
    )]
    Target,
    /// The head is over its limit before the request line has ended.
    #[error("the request target is too long")]
    TargetTooLong,
    /// Another major version of HTTP.
    #[error("this address speaks HTTP/1.1, and no other major version in a request line")]
    Version,
    /// A line ends otherwise than it has to.
    #[error("the lines of a request have to end with CR and LF")]
    LineEnd,
    /// A line of the header is no field.
    #[error(
        "a header field is malformed: it has to be a name, a colon right after it, and a value on the same line"
    )]
    Field,
    /// There are more fields than anybody needs.
    #[error("the request has too many header fields")]
    TooManyFields,
    /// `Host` is missing, there twice, or no host.
    #[error("the Host header has to be there once, and be a host with or without a port")]
    Host,
    /// `Content-Length` is there twice, or no number.
    #[error("the Content-Length header has to be one decimal number")]
    ContentLength,
    /// `Transfer-Encoding` does not end with `chunked`, or has it twice, or is there in HTTP/1.0.
    #[error("the Transfer-Encoding header has to be: chunked")]
    TransferEncoding,
    /// `Transfer-Encoding` lists a coding besides `chunked`.
    #[error("no transfer coding but chunked is supported")]
    TransferCoding,
    /// Both headers came that say where the body ends.
    #[error("send Content-Length or Transfer-Encoding, not both")]
    TwoFramings,
    /// The body is no valid sequence of chunks.
    #[error("the chunks of the body are malformed")]
    Chunk,
    /// What follows the last chunk is no valid trailer.
    #[error("the trailer of the body is malformed, or too large")]
    Trailer,
    /// The head did not arrive in time.
    #[error("the request header did not arrive within {} seconds", .0.as_secs_f64())]
    Late(Duration),
    /// It asks for a tunnel, which only proxies have.
    #[error("CONNECT is for proxies; this is an API")]
    Connect,
}

impl MalformedRequest {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Late(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
