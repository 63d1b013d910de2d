//! A connection to an upstream: HTTP/1.1, written and read in the task that uses it.
//!
//! No client of a library's. Those with a pool give each connection a task of its own, or one at each release,
//! and a channel between it and the request; hyper's connection, polled beside the request that it carries, needs
//! neither, but two header maps, a channel for the body and a dozen pieces of memory. A request is one piece of
//! memory and one send here, a reply is read where it came. And it is known of both what nobody else tells: whether
//! a request never started, and whether a connection died before a byte of its answer. Without that nobody could
//! say what may be sent again.
//!
//! The price: nobody reads from an idle connection, so a close by the upstream shows only when somebody looks. So
//! somebody does, every second ([`Pool::reap`](super::pool::Pool::reap)).

use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{BufMut, Bytes};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::chunks::ChunkDecoder;
use super::framing::{Framing, MAX_HEAD_BYTES, ReplyFault};
use super::received_bytes::ReceivedBytes;
use super::reply::{Reply, ReplyHead};
use super::request::{Unsent, UpstreamRequest};
use super::transport::Transport;

/// How much is read at once. Most replies come whole, with their head.
const READ_BYTES: usize = 8 * 1024;
/// So much memory is taken for a body before anything of it has come.
const FIRST_BODY_BYTES: usize = 64 * 1024;

/// One HTTP/1.1 connection. Between requests it holds no memory but its own.
pub(super) struct Http1Connection {
    transport: Transport,
    /// Whether another request may follow: nothing has gone wrong, and the last reply was read to its end.
    is_open: bool,
    /// When something came on it since the last request went out.
    pub(super) received: ReceivedBytes,
    /// The upstream's address.
    pub(super) address: SocketAddr,
    pub(super) opened_at: Instant,
}

/// Why a request on a connection has no reply.
pub(super) enum ExchangeError {
    /// The request never started; here it is again.
    NotStarted(Box<UpstreamRequest>),
    /// It started. `is_silent` where not one byte of an answer came.
    Broken { error: io::Error, is_silent: bool },
    /// What came is no reply, can be understood in more than one way, or its header has no end.
    Malformed(ReplyFault),
    /// The reply is larger than allowed.
    TooLarge,
}

impl From<ReplyFault> for ExchangeError {
    fn from(fault: ReplyFault) -> Self {
        Self::Malformed(fault)
    }
}

impl Http1Connection {
    pub(super) fn new(transport: Transport, address: SocketAddr) -> Self {
        Self {
            transport,
            is_open: true,
            received: ReceivedBytes::default(),
            address,
            opened_at: Instant::now(),
        }
    }

    /// Sends one request and reads its whole reply, of at most `limit` bytes.
    pub(super) async fn exchange(
        &mut self,
        request: UpstreamRequest,
        limit: usize,
    ) -> Result<Reply, ExchangeError> {
        self.received.reset();
        if !self.is_reusable() {
            return Err(ExchangeError::NotStarted(Box::new(request)));
        }
        self.is_open = false;
        let mut carrying = Carrying {
            transport: &mut self.transport,
            received: &self.received,
            unsent: request.unsent(),
            is_flushed: false,
            failure: None,
            bytes: Vec::new(),
        };
        let head = carrying.read_head().await?;
        let framing = head.framing()?;
        let body = match framing {
            Framing::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= limit);
                carrying
                    .read_length(length.ok_or(ExchangeError::TooLarge)?)
                    .await?
            }
            Framing::Chunks => carrying.read_chunks(limit).await?,
            Framing::Connection => carrying.read_to_end(limit).await?,
        };
        // What follows a reply is nobody's, and the next must not be taken for an answer to somebody else. Nor may
        // what is left of a request that was answered before it was whole.
        let is_over = carrying.bytes.is_empty() && carrying.is_sent();
        self.is_open = head.leaves_open() && is_over && framing != Framing::Connection;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// Whether another request can be sent. Nobody reads from an idle connection, so this is where a close by the
    /// upstream shows, and what nobody asked for.
    pub(super) fn is_reusable(&mut self) -> bool {
        let mut space = [0];
        let mut buf = ReadBuf::new(&mut space);
        let mut cx = Context::from_waker(Waker::noop());
        self.is_open = self.is_open
            && Pin::new(&mut self.transport)
                .poll_read(&mut cx, &mut buf)
                .is_pending();
        self.is_open
    }
}

/// One request on its way, and its reply.
struct Carrying<'c> {
    transport: &'c mut Transport,
    received: &'c ReceivedBytes,
    unsent: Unsent<'c>,
    is_flushed: bool,
    /// Why the request could not be sent to its end. A reply may have come all the same.
    failure: Option<io::Error>,
    /// What was read and has not been taken.
    bytes: Vec<u8>,
}

impl Carrying<'_> {
    fn is_sent(&self) -> bool {
        self.unsent.is_empty() && self.is_flushed && self.failure.is_none()
    }

    /// Reads the head of the final answer; those of interim answers before it are passed over.
    async fn read_head(&mut self) -> Result<ReplyHead, ExchangeError> {
        let mut passed_over = 0;
        // How much of it is known to have no end.
        let mut seen = 0;
        loop {
            if has_end(&self.bytes, seen)
                && let Some(head) = ReplyHead::parse(&self.bytes)?
            {
                self.bytes.drain(..head.length);
                if !head.is_interim() {
                    return Ok(head);
                }
                passed_over += head.length;
                seen = 0;
                continue;
            }
            seen = self.bytes.len();
            if passed_over + seen > MAX_HEAD_BYTES {
                return Err(ReplyFault::EndlessHead.into());
            }
            let mut bytes = mem::take(&mut self.bytes);
            bytes.reserve(READ_BYTES);
            let read = self.read_into(&mut bytes).await;
            self.bytes = bytes;
            if read? == 0 {
                return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    async fn read_length(&mut self, length: usize) -> Result<Bytes, ExchangeError> {
        if let Some(body) = self.bytes.get(..length) {
            let body = Bytes::copy_from_slice(body);
            self.bytes.drain(..length);
            return Ok(body);
        }
        let mut body = mem::take(&mut self.bytes);
        while body.len() < length {
            let left = length - body.len();
            if body.capacity() == body.len() {
                body.reserve_exact(left.min(FIRST_BODY_BYTES.max(body.len())));
            }
            if self.read_into(&mut (&mut body).limit(left)).await? == 0 {
                return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(exactly(body))
    }

    async fn read_chunks(&mut self, limit: usize) -> Result<Bytes, ExchangeError> {
        let mut decoder = ChunkDecoder::default();
        let mut body = Vec::new();
        let mut bytes = mem::take(&mut self.bytes);
        loop {
            let decoded = decoder
                .decode(&bytes, &mut body, limit)?
                .ok_or(ExchangeError::TooLarge)?;
            if decoded.is_end {
                bytes.drain(..decoded.taken);
                self.bytes = bytes;
                return Ok(exactly(body));
            }
            bytes.clear();
            bytes.reserve(READ_BYTES);
            if self.read_into(&mut bytes).await? == 0 {
                return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    async fn read_to_end(&mut self, limit: usize) -> Result<Bytes, ExchangeError> {
        let mut body = mem::take(&mut self.bytes);
        loop {
            if body.len() > limit {
                return Err(ExchangeError::TooLarge);
            }
            body.reserve(READ_BYTES);
            if self.read_into(&mut body).await? == 0 {
                return Ok(exactly(body));
            }
        }
    }

    /// Reads what comes next, and sends what is left of the request meanwhile: some upstreams answer before it is
    /// whole. Gives back how many bytes came, none at the end of the connection.
    async fn read_into(&mut self, bytes: &mut (impl BufMut + ?Sized)) -> Result<usize, ExchangeError> {
        let read = poll_fn(|cx| {
            if self.failure.is_none()
                && let Poll::Ready(Err(error)) = self.poll_send(cx)
            {
                self.failure = Some(error);
            }
            let read = pin!(self.transport.read_buf(bytes)).poll(cx);
            match read {
                Poll::Ready(Ok(1..)) => read,
                // Where it could not be sent nothing will come any more, and this is why.
                _ => self.failure.take().map_or(read, |error| Poll::Ready(Err(error))),
            }
        });
        let count = read.await.map_err(|error| self.broken(error))?;
        if count > 0 {
            self.received.note();
        }
        Ok(count)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let pieces = self.unsent.pieces();
            let sent = ready!(Pin::new(&mut *self.transport).poll_write_vectored(cx, &pieces))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(sent);
        }
        if !self.is_flushed {
            // TLS may hold something back.
            ready!(Pin::new(&mut *self.transport).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn broken(&self, error: io::Error) -> ExchangeError {
        ExchangeError::Broken {
            error,
            is_silent: !self.received.is_set(),
        }
    }
}

/// Whether a look at these bytes may find a whole head, of which so many have been looked at. What is no head is
/// seen at the first look, and nobody has to look at a long one for each piece of it.
fn has_end(bytes: &[u8], seen: usize) -> bool {
    match bytes.get(seen.saturating_sub(3)..) {
        None | Some([]) => false,
        Some(_) if seen == 0 => true,
        Some(rest) => [&b"\n\r\n"[..], b"\n\n"]
            .iter()
            .any(|end| memmem::find(rest, end).is_some()),
    }
}

/// Without the memory that it does not take: a reply may be kept for long.
fn exactly(body: Vec<u8>) -> Bytes {
    body.into_boxed_slice().into()
}

#[cfg(test)]
mod tests;
