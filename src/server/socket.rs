use std::future::pending;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The name of HTTP/2 in the handshake (RFC 7301).
pub(super) const HTTP_2: &[u8] = b"h2";

/// A client's connection: bytes as they come, or within TLS.
///
/// An idle one within TLS holds the 4 KiB in which the next record begins to arrive, and about as much for the
/// state of TLS; it takes more only while it reads or writes.
#[derive(Debug)]
pub enum ClientSocket {
    /// Bytes as they come.
    Plain(TcpStream),
    /// Bytes within TLS. On the heap, because it is large, and most connections of a gateway behind a balancer
    /// are plain.
    Tls(Box<TlsStream<TcpStream>>),
}

impl ClientSocket {
    /// The connection beneath.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Whether both sides agreed on HTTP/2 during the handshake.
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(HTTP_2),
        }
    }

    /// The certificate that the client has shown, and that was accepted.
    #[must_use]
    pub fn client_certificate(&self) -> Option<&CertificateDer<'static>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.get_ref().1.peer_certificates()?.first(),
        }
    }

    /// Waits until there is something to read, or the client is gone. It may be mistaken.
    ///
    /// # Errors
    /// Where the connection cannot be watched.
    pub async fn readable(&self) -> io::Result<()> {
        if let Self::Tls(stream) = self
            // What has been decrypted already is not in the socket any more.
            && !stream.get_ref().1.wants_read()
        {
            return Ok(());
        }
        self.tcp().readable().await
    }

    /// Waits until the connection is broken: for ever, if it does not break.
    pub async fn broken(&self) {
        if self.tcp().ready(Interest::ERROR).await.is_err() {
            pending().await
        }
    }

    /// Lets the connection end with a reset when it is dropped, so that the kernel keeps nothing of what was
    /// sent.
    pub fn reset(&self) {
        if let Err(error) = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection cannot be reset");
        }
    }
}

/// A client is told that its connection ends, if it can be told at once: without that it could not know whether
/// somebody else has cut it.
impl Drop for ClientSocket {
    fn drop(&mut self) {
        if let Self::Tls(stream) = self {
            let (socket, tls) = stream.get_mut();
            tls.send_close_notify();
            // Whoever takes nothing is not waited for.
            let _ = tls.write_tls(&mut AtOnce(socket));
        }
    }
}

/// Writes what the socket takes at once.
struct AtOnce<'a>(&'a TcpStream);

impl io::Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRawFd for ClientSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp().as_raw_fd()
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
