use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::protocols::http::ServerSession;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::framing::{Refusal, RequestFilter};
use crate::server::ClientSocket;

/// Up to here a body is held back with its header, so that both leave in one send; a larger one is never
/// copied.
const HELD_BYTES: usize = 8 * 1024;
/// The first piece of memory for what is held back: most answers fit.
const FIRST_HELD_BYTES: usize = 2 * 1024;
/// How long a client may keep from taking the end of a connection: within TLS that is something to send.
const GOODBYE: Duration = Duration::from_secs(2);

/// A client's connection, as Pingora's sessions read and write it. It sees every byte that comes and goes, so
/// what has to happen before HTTP or below it belongs here. An idle one holds no memory but its own.
#[derive(Debug)]
pub(super) struct ClientStream {
    socket: ClientSocket,
    filter: RequestFilter,
    /// What is held back, and how much of it is sent already.
    held: Vec<u8>,
    sent: usize,
}

impl ClientStream {
    pub(super) fn new(socket: ClientSocket) -> Self {
        Self {
            socket,
            filter: RequestFilter::new(),
            held: Vec::new(),
            sent: 0,
        }
    }

    /// Waits until there is something to read, or the client is gone. It may be mistaken.
    pub(super) async fn readable(&self) -> io::Result<()> {
        if self.filter.has_more() {
            return Ok(());
        }
        self.socket.readable().await
    }

    /// Reads until the head of the next request is whole, or refused. Gives back whether it came that far before
    /// the client left. Who waits for it may stop and begin again.
    pub(super) async fn read_head(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.filter.poll_head(&mut self.socket, cx)).await
    }

    /// A head that is whole, for the session, with what came of its body meanwhile.
    pub(super) fn take_head(&mut self) -> BytesMut {
        self.filter.take_head()
    }

    /// What of its client's requests has been judged.
    pub(super) const fn filter(&self) -> &RequestFilter {
        &self.filter
    }

    /// Why nothing more is read as a request, if that is so.
    pub(super) const fn refusal(&self) -> Option<Refusal> {
        self.filter.refusal()
    }

    /// Lets everything through from now on, whatever it is.
    pub(super) fn stop_filtering(&mut self) {
        self.filter.disable();
    }

    /// Waits until the connection is broken: for ever, if it does not break.
    pub(super) async fn broken(&self) {
        self.socket.broken().await;
    }

    /// Lets the connection end with a reset when it is dropped, so that the kernel keeps nothing of what was
    /// sent.
    pub(super) fn reset(&self) {
        self.socket.reset();
    }

    /// Sends what is held back, and as much of `more` after it as goes out with it. Gives back how much of
    /// `more`.
    fn poll_send_held(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let held = self.held.get(self.sent..).unwrap_or_default();
            if held.is_empty() {
                // Given back: the connection may be idle for long now.
                self.held = Vec::new();
                self.sent = 0;
                return match more {
                    [] => Poll::Ready(Ok(0)),
                    more => Pin::new(&mut self.socket).poll_write(cx, more),
                };
            }
            let (length, socket) = (held.len(), Pin::new(&mut self.socket));
            let sent = match more {
                [] => ready!(socket.poll_write(cx, held))?,
                more => {
                    let pieces = [IoSlice::new(held), IoSlice::new(more)];
                    ready!(socket.poll_write_vectored(cx, &pieces))?
                }
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
            if sent > length {
                self.held = Vec::new();
                self.sent = 0;
                return Poll::Ready(Ok(sent - length));
            }
        }
    }
}

/// The stream beneath a session; none beneath one of HTTP/2.
pub(super) fn client_stream(session: &ServerSession) -> Option<&ClientStream> {
    match session {
        ServerSession::H1(session) => (**session.stream()).as_any().downcast_ref(),
        _ => None,
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.filter.poll_read(&mut this.socket, cx, buf)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.held.len() + buf.len() > HELD_BYTES {
            return this.poll_send_held(cx, buf);
        }
        if this.held.capacity() == 0 {
            this.held.reserve(FIRST_HELD_BYTES);
        }
        this.held.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_held(cx, &[]))?;
        // TLS may hold something back as well.
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_held(cx, &[]))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        match timeout(GOODBYE, AsyncWriteExt::shutdown(self)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a client's connection could not be shut down"),
            Err(_elapsed) => tracing::debug!("a client did not take the end of its connection"),
        }
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.socket.as_raw_fd()
    }
}

// What Pingora would like to know of a connection for its own records. The connection's app object knows it.

impl Ssl for ClientStream {}

impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    async fn pair() -> (ClientStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let stream = ClientStream::new(ClientSocket::Plain(accepted.unwrap().0));
        (stream, client.unwrap())
    }

    #[tokio::test]
    async fn nothing_is_sent_before_it_is_flushed_and_nothing_is_held_afterwards() {
        let (mut stream, mut client) = pair().await;
        stream.write_all(b"header").await.unwrap();
        stream.write_all(b"body").await.unwrap();
        let nothing = client.try_read(&mut [0; 16]).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        stream.flush().await.unwrap();
        assert_eq!(stream.held.capacity(), 0);
        let mut came = [0; 10];
        client.read_exact(&mut came).await.unwrap();
        assert_eq!(&came, b"headerbody");
    }

    #[tokio::test]
    async fn a_large_body_comes_whole_after_its_header_without_being_copied() {
        let (mut stream, mut client) = pair().await;
        let body: Vec<u8> = (0..10_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let sent = body.clone();
        let sending = async move {
            stream.write_all(b"header").await.unwrap();
            stream.write_all(&sent).await.unwrap();
            assert_eq!(stream.held.capacity(), 0);
            AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        };
        let receiving = async {
            let mut came = Vec::new();
            client.read_to_end(&mut came).await.unwrap();
            came
        };
        let ((), came) = tokio::join!(sending, receiving);
        let (header, rest) = came.split_at(6);
        assert_eq!(header, b"header");
        assert!(rest == body);
    }

    #[tokio::test]
    async fn a_head_is_there_once_it_is_whole_and_takes_no_more_memory_than_it_is_long() {
        let (mut stream, mut client) = pair().await;
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(&request[..10]).await.unwrap();
        let early = timeout(Duration::from_millis(20), stream.read_head()).await;
        assert!(early.is_err(), "a part of a head goes nowhere");
        assert!(stream.filter().is_within_head());
        client.write_all(&request[10..]).await.unwrap();
        client.write_all(request).await.unwrap();
        assert!(stream.read_head().await.unwrap());
        let head = stream.take_head();
        assert_eq!(head, request.as_slice());
        assert!(head.capacity() < 2 * request.len(), "{}", head.capacity());
        assert!(stream.filter().is_between_requests());
        let early = timeout(Duration::from_millis(20), stream.read(&mut [0; 256])).await;
        assert!(early.is_err(), "the next one is not awaited");
        stream.readable().await.unwrap();
        assert!(stream.read_head().await.unwrap());
        assert_eq!(stream.take_head(), request.as_slice());
        assert!(!stream.filter().has_more());
    }

    #[tokio::test]
    async fn nothing_comes_after_a_refusal_until_it_is_thrown_away() {
        let (mut stream, mut client) = pair().await;
        client.write_all(b"GET / HTTP/1.1\r\n\r\nrest").await.unwrap();
        assert!(stream.read_head().await.unwrap());
        assert!(stream.refusal().is_some());
        let error = stream.read(&mut [0; 256]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        client.write_all(b" of it").await.unwrap();
        drop(client);
        stream.stop_filtering();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b" of it");
    }
}
