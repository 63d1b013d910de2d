use std::io;
use std::time::Duration;

use super::connection::UpstreamRequest;
use crate::text::format_seconds;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The upstream has failed so often that it is left alone; nothing was sent.
    #[error("the upstream is left alone for another {}", format_seconds(*.0))]
    CircuitOpen(Duration),
    /// No connection could be made; nothing was sent.
    #[error("cannot connect: {0}")]
    Unreachable(io::Error),
    /// No connection could be made in time; nothing was sent.
    #[error("no connection within {}", format_seconds(*.0))]
    ConnectTimeout(Duration),
    /// The connection closed before the request started; nothing was sent, and here it is again.
    #[error("the connection closed before the request started")]
    NotStarted(Box<UpstreamRequest>),
    /// A reused connection died before the first byte of an answer. It may have been dead since long before
    /// the request, which may have been acted on all the same.
    #[error("the connection had died while it was idle: {0}")]
    DiedIdle(hyper::Error),
    /// The reply was not complete in time; the request may have been acted on.
    #[error("no complete reply within {}", format_seconds(*.0))]
    Timeout(Duration),
    /// The connection broke or what came was not HTTP; the request may have been acted on.
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
    /// The reply is larger than `max_response_bytes`; the request may have been acted on.
    #[error("the reply is larger than allowed")]
    TooLarge,
}

/// Why a client cannot be made from the settings.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The credential has characters that no header value may have.
    #[error("the upstream credential cannot be sent in a header")]
    BadCredential,
    /// The host is no name that a certificate can be checked against.
    #[error("the upstream's host is neither a DNS name nor an IP address")]
    BadHost,
    /// The system has no root certificates, so that no server could be trusted.
    #[error("no root certificates found on this system; install ca-certificates or set SSL_CERT_FILE")]
    NoRootCertificates,
    /// TLS itself could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}
