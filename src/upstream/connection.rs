//! Connections to an upstream: HTTP/1.1, driven in the task that uses them, pooled for each worker.
//!
//! Neither hyper-util's pool nor Pingora's connector. Both give each connection a task of its own, or one at
//! each release, and a channel between it and the request: of 39 µs of CPU that a request took with Pingora's
//! connector, 10 went there and into sending header and body apart. hyper's own connection, polled beside the
//! request that it carries, takes neither. It says what both of them hide, too: whether a request never
//! started (hyper gives it back), and whether a connection died before a byte of its answer. Without that
//! nobody could tell what may be sent again.
//!
//! The price: nobody polls an idle connection, so a close by the upstream shows only when somebody looks. So
//! somebody does, every second ([`Pool::reap`]).

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use thread_local::ThreadLocal;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::framing::{self, ReplyFault};
use super::received_bytes::ReceivedBytes;

/// A request as it goes up.
pub type UpstreamRequest = Request<Full<Bytes>>;

/// The upstream's whole answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Idle connections, apart for each worker thread: a socket belongs to the reactor of the worker that opened
/// it.
#[derive(Default)]
pub(super) struct Pool {
    /// Behind a lock that nobody ever waits for, but for the moment in which idle ones are reaped.
    idle: ThreadLocal<Mutex<Vec<Idle>>>,
}

struct Idle {
    /// Boxed, because a connection is large and would be copied on its way in and out.
    connection: Box<Http1Connection>,
    since: Instant,
}

/// Shorter than what origins grant (60 s and more), so that the gateway is mostly the one who closes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_PER_WORKER: usize = 128;
/// A reply that is larger has made hyper's buffer grow, which it keeps.
const SMALL_REPLY_BYTES: usize = 16 * 1024;
/// How long a connection may be used that leads where its name does not any more. A name that shows a few of
/// many addresses, in turn, is no reason to leave one that works; a service that has moved away for good is.
const UNNAMED_LIFETIME: Duration = Duration::from_secs(10 * 60);

impl Pool {
    /// The connection that was used last, if it is still good; `is_named` says of an address whether the
    /// upstream's name leads there.
    pub(super) fn take(&self, is_named: impl Fn(SocketAddr) -> bool) -> Option<Box<Http1Connection>> {
        let mut idle = self.idle.get_or_default().lock();
        loop {
            let mut last = idle.pop()?;
            let is_outdated =
                last.connection.opened_at.elapsed() >= UNNAMED_LIFETIME && !is_named(last.connection.address);
            if last.is_good() && !is_outdated {
                return Some(last.connection);
            }
        }
    }

    /// Keeps a connection for the next request, without the memory that a large reply took.
    pub(super) fn put(&self, mut connection: Box<Http1Connection>) {
        if !connection.is_reusable() {
            return;
        }
        if connection.longest_reply > SMALL_REPLY_BYTES {
            let Some(renewed) = connection.renew() else { return };
            connection = renewed;
        }
        let mut idle = self.idle.get_or_default().lock();
        if idle.len() < IDLE_PER_WORKER {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Closes what the upstream has closed, and what nobody has needed for long.
    pub(super) fn reap(&self) {
        for idle in &self.idle {
            idle.lock().retain_mut(Idle::is_good);
        }
    }
}

impl Idle {
    fn is_good(&mut self) -> bool {
        self.since.elapsed() < IDLE_TIMEOUT && self.connection.is_reusable()
    }
}

/// One HTTP/1.1 connection, driven in the task that uses it: no task of its own, no channel to one.
pub(super) struct Http1Connection {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Stream>, Full<Bytes>>,
    /// Whether `connection` has run to its end and must not be polled again.
    is_finished: bool,
    /// What has come on it since the last request went out.
    pub(super) received: ReceivedBytes,
    /// The body of the longest reply, in bytes.
    longest_reply: usize,
    /// The upstream's address.
    pub(super) address: SocketAddr,
    opened_at: Instant,
}

/// Why a request on a connection has no reply.
pub(super) enum ExchangeError {
    /// The request never started; here it is again.
    NotStarted(Box<UpstreamRequest>),
    /// It started. `is_silent` where not one byte of an answer came.
    Broken { error: hyper::Error, is_silent: bool },
    /// The reply can be understood in more than one way, or its header has no end.
    Malformed(ReplyFault),
    /// The reply is larger than allowed.
    TooLarge,
}

impl Http1Connection {
    pub(super) async fn open(transport: Transport, address: SocketAddr) -> hyper::Result<Self> {
        let received = ReceivedBytes::default();
        let stream = TokioIo::new(Stream::new(transport, received.clone()));
        let (sender, connection) = http1::Builder::new().handshake(stream).await?;
        Ok(Self {
            sender,
            connection,
            is_finished: false,
            received,
            longest_reply: 0,
            address,
            opened_at: Instant::now(),
        })
    }

    /// The same connection with new buffers; none where something has come on it that nobody asked for.
    fn renew(self: Box<Self>) -> Option<Box<Self>> {
        let parts = self.connection.into_parts();
        if !parts.read_buf.is_empty() {
            return None;
        }
        // It waits for nobody.
        let (sender, connection) = http1::Builder::new().handshake(parts.io).now_or_never()?.ok()?;
        Some(Box::new(Self {
            sender,
            connection,
            is_finished: false,
            received: self.received,
            longest_reply: 0,
            address: self.address,
            opened_at: self.opened_at,
        }))
    }

    /// Sends one request and reads its whole reply, of at most `limit` bytes.
    pub(super) async fn exchange(
        &mut self,
        request: UpstreamRequest,
        limit: usize,
    ) -> Result<Reply, ExchangeError> {
        self.received.reset();
        let mut sending = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let is_finished = &mut self.is_finished;
        let sent = poll_fn(|cx| {
            drive(connection, is_finished, cx);
            sending.as_mut().poll(cx)
        });
        let response = sent.await.map_err(|mut failed| match failed.take_message() {
            Some(request) => ExchangeError::NotStarted(Box::new(request)),
            None if self.received.is_endless() => ExchangeError::Malformed(ReplyFault::EndlessHead),
            None => ExchangeError::Broken {
                error: failed.into_error(),
                is_silent: !self.received.is_set(),
            },
        })?;
        self.received.end_head();
        framing::check(response.status(), response.headers()).map_err(ExchangeError::Malformed)?;
        if response.body().size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(ExchangeError::TooLarge);
        }
        self.read(response, limit).await
    }

    async fn read(&mut self, response: Response<Incoming>, limit: usize) -> Result<Reply, ExchangeError> {
        let (head, mut body) = response.into_parts();
        let mut read = Vec::new();
        let mut length = 0_usize;
        loop {
            let frame = poll_fn(|cx| {
                drive(&mut self.connection, &mut self.is_finished, cx);
                Pin::new(&mut body).poll_frame(cx)
            });
            let chunk = match frame.await {
                None => break,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    return Err(ExchangeError::Broken {
                        error,
                        is_silent: false,
                    });
                }
            };
            length = length.saturating_add(chunk.len());
            if length > limit {
                return Err(ExchangeError::TooLarge);
            }
            read.push(chunk);
        }
        self.longest_reply = self.longest_reply.max(length);
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: joined(read, length),
        })
    }

    /// Whether another request can be sent. Nobody polls an idle connection, so this is where a close by the
    /// upstream shows.
    pub(super) fn is_reusable(&mut self) -> bool {
        drive(
            &mut self.connection,
            &mut self.is_finished,
            &mut Context::from_waker(Waker::noop()),
        );
        !self.is_finished && self.sender.is_ready()
    }
}

/// Moves the connection on. Its end is no error of its own: whoever waits for a response or a body learns it.
fn drive(
    connection: &mut Connection<TokioIo<Stream>, Full<Bytes>>,
    is_finished: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*is_finished && matches!(Pin::new(connection).poll(cx), Poll::Ready(_)) {
        *is_finished = true;
    }
}

/// Most replies come in one chunk, which needs no copy.
fn joined(mut chunks: Vec<Bytes>, length: usize) -> Bytes {
    if chunks.len() == 1 {
        return chunks.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(length);
    for chunk in chunks {
        whole.extend_from_slice(&chunk);
    }
    whole.freeze()
}

/// A connection to the upstream that notices whether anything was received on it.
#[derive(Debug)]
pub(super) struct Stream {
    transport: Transport,
    received: ReceivedBytes,
}

#[derive(Debug)]
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) const fn new(transport: Transport, received: ReceivedBytes) -> Self {
        Self { transport, received }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_endless() {
            return Poll::Ready(Err(io::Error::other(ReplyFault::EndlessHead)));
        }
        let before = buf.filled().len();
        let polled = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        };
        let count = buf.filled().len().saturating_sub(before);
        if count > 0 {
            self.received.add(count);
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests;
