use std::io;
use std::time::Duration;

use super::circuit::Health;
use super::framing::ReplyFault;
use super::proxy::ProxyError;
use super::request::UpstreamRequest;
use crate::config::CertificateError;
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
    /// This machine lacks what a connection needs, which says nothing of the upstream; nothing was sent.
    #[error("this machine has nothing left for a connection: {0}")]
    OutOfResources(io::Error),
    /// No connection could be made in time; nothing was sent.
    #[error("no connection within {}", format_seconds(*.0))]
    ConnectTimeout(Duration),
    /// The proxy before the upstream makes no way to it; nothing was sent.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The connection closed before the request started; nothing was sent, and here it is again.
    #[error("the connection closed before the request started")]
    NotStarted(Box<UpstreamRequest>),
    /// A reused connection died before the first byte of an answer. It may have been dead since long before
    /// the request, which may have been acted on all the same.
    #[error("the connection had died while it was idle: {0}")]
    DiedIdle(io::Error),
    /// The reply was not complete in time; the request may have been acted on.
    #[error("no complete reply within {}", format_seconds(*.0))]
    Timeout(Duration),
    /// The connection broke; the request may have been acted on.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// What came is no reply, could be understood in more than one way, or has no end; the request may have been
    /// acted on.
    #[error("the reply is not taken: {0}")]
    Malformed(ReplyFault),
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
    /// A file of a certificate or key is of no use.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS itself could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
}

/// Whether an error is this machine's own: no descriptors, ports or memory are left.
pub(super) fn is_local_fault(error: &io::Error) -> bool {
    const LOCAL: [i32; 5] = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::EADDRNOTAVAIL,
        libc::ENOMEM,
    ];
    error.raw_os_error().is_some_and(|code| LOCAL.contains(&code))
}

impl SendError {
    /// Why there is no connection.
    pub(super) fn of_connecting(error: io::Error) -> Self {
        match is_local_fault(&error) {
            true => Self::OutOfResources(error),
            false => Self::Unreachable(error),
        }
    }

    /// Its name, for metrics and traces.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CircuitOpen(_) => "circuit_open",
            Self::Unreachable(_) => "unreachable",
            Self::OutOfResources(_) => "out_of_resources",
            Self::ConnectTimeout(_) => "connect_timeout",
            Self::Proxy(_) => "proxy",
            Self::NotStarted(_) => "not_started",
            Self::DiedIdle(_) => "died_idle",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) => "broken",
            Self::Malformed(_) => "malformed",
            Self::TooLarge => "too_large",
        }
    }

    /// What a request that ended so tells of the upstream; none where it tells nothing.
    pub(super) fn health(&self) -> Option<Health> {
        match self {
            // Nobody asked it, or what failed is on this side, or failed long before the request.
            Self::CircuitOpen(_) | Self::OutOfResources(_) | Self::NotStarted(_) | Self::DiedIdle(_) => None,
            Self::Broken(error) if is_local_fault(error) => None,
            // Of the upstream a proxy knows only whether it has reached it.
            Self::Proxy(ProxyError::UpstreamUnreachable(_)) => Some(Health::Unreachable),
            Self::Proxy(_) => None,
            Self::Unreachable(_) | Self::ConnectTimeout(_) => Some(Health::Unreachable),
            Self::Timeout(_) | Self::Broken(_) | Self::Malformed(_) => Some(Health::Failing),
            // It spoke, and more than enough.
            Self::TooLarge => Some(Health::Well),
        }
    }
}
