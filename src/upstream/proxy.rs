//! The way to the upstream through a proxy: a tunnel by `CONNECT` (RFC 9110 §9.3.6).

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::config::{Proxy, Secret, UpstreamUrl};
use crate::text::format_seconds;

/// Why a proxy makes no way to the upstream; no request was sent. Nothing of what the proxy said is in it, which may
/// repeat its credentials.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// There is no connection to the proxy itself.
    #[error("no connection to the proxy: {0}")]
    Unreachable(io::Error),
    /// There is none in time.
    #[error("no connection to the proxy within {}", format_seconds(*.0))]
    ConnectTimeout(Duration),
    /// It does not say whether there is a way.
    #[error("the proxy made no way to the upstream within {}", format_seconds(*.0))]
    Timeout(Duration),
    /// It wants credentials, or others.
    #[error("the proxy does not take the credentials of the gateway, or wants some (407)")]
    Unauthenticated,
    /// It does not allow the way.
    #[error("the proxy refuses to make a way to the upstream ({0})")]
    Refused(u16),
    /// It could not reach the upstream itself.
    #[error("the proxy does not reach the upstream ({0})")]
    UpstreamUnreachable(u16),
    /// It broke the connection before it had answered.
    #[error("the proxy broke the connection: {0}")]
    Broken(io::Error),
    /// It closed the connection before it had answered.
    #[error("the proxy closed the connection before it had answered")]
    Closed,
    /// What it answered is not HTTP, or is followed by what nobody had asked for.
    #[error("what the proxy answered is not HTTP")]
    Malformed,
    /// Its header, or interim answers, have no end.
    #[error("the header of the proxy's answer is larger than {MAX_HEAD_BYTES} bytes")]
    EndlessHead,
}

const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// How the tunnel to one upstream is asked for.
pub(super) struct Tunnel {
    /// The `CONNECT` request, with the credentials of the proxy.
    request: Secret,
}

impl Tunnel {
    pub(super) fn new(proxy: &Proxy, upstream: &UpstreamUrl) -> Self {
        let host = match upstream.host.contains(':') {
            true => format!("[{}]", upstream.host),
            false => upstream.host.clone(),
        };
        let authority = format!("{host}:{}", upstream.port);
        let authorization = proxy.authorization.as_ref().map_or(String::new(), |value| {
            format!("proxy-authorization: {}\r\n", value.reveal())
        });
        let request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n{authorization}\r\n");
        Self {
            request: Secret::new(request),
        }
    }

    /// Asks the proxy at the other end of a connection for the tunnel. Where there is one, all that follows on the
    /// connection is between the gateway and the upstream.
    pub(super) async fn open(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> Result<(), ProxyError> {
        let request = self.request.reveal().as_bytes();
        stream.write_all(request).await.map_err(ProxyError::Broken)?;
        let mut unread = BytesMut::with_capacity(1024);
        let mut total = 0;
        loop {
            let count = stream.read_buf(&mut unread).await.map_err(ProxyError::Broken)?;
            if count == 0 {
                return Err(ProxyError::Closed);
            }
            total += count;
            while let Some((status, length)) = read_head(&unread)? {
                unread.advance(length);
                if !(100..200).contains(&status) {
                    return judge(status, &unread);
                }
            }
            if total > MAX_HEAD_BYTES {
                return Err(ProxyError::EndlessHead);
            }
        }
    }
}

/// The status of an answer, and how long its header is; none where it is not whole yet.
fn read_head(bytes: &[u8]) -> Result<Option<(u16, usize)>, ProxyError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Ok(answer.code.map(|status| (status, length))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(ProxyError::EndlessHead),
        Err(_) => Err(ProxyError::Malformed),
    }
}

/// What the final answer means; `rest` is what came with it.
fn judge(status: u16, rest: &[u8]) -> Result<(), ProxyError> {
    match status {
        // No upstream speaks first.
        200..=299 if rest.is_empty() => Ok(()),
        200..=299 => Err(ProxyError::Malformed),
        407 => Err(ProxyError::Unauthenticated),
        502..=504 => Err(ProxyError::UpstreamUnreachable(status)),
        _ => Err(ProxyError::Refused(status)),
    }
}

#[cfg(test)]
mod tests;
