//! What a client of HTTP/1 sends, judged before the session parses it.
//!
//! Pingora repairs a request line that is none, joins or passes over what has two meanings, and hides the heads
//! of chunks. So the stream hands on only what has been judged here: a head when it is whole and in order, then
//! its body, and nothing of the next request before that is waited for. What is refused goes no further, and
//! nothing after it on its connection is taken for a request.

mod chunks;
mod fields;
mod head;
mod host;
mod http2_head;
mod replay;
mod request_line;

use std::cell::RefCell;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

use self::chunks::ChunkScanner;
use self::head::HeadScanner;
pub(super) use self::head::MAX_HEAD_BYTES;
pub(super) use self::http2_head::judge_http2_head;
pub use self::replay::{JudgedRequests, judge_bytes};
use crate::contract::{ApiError, MalformedRequest};

/// How much of later requests is read while one is answered: enough to see that their client goes away.
const MAX_BYTES_AHEAD: usize = 16 * 1024;
/// How much is read at once of what is not handed on yet.
const PIECE_BYTES: usize = 8 * 1024;

thread_local! {
    /// Where it is read: one for all connections of a worker. What is kept of it then takes no more than it is.
    static PIECE: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE_BYTES].into());
}

/// Stands between a connection's socket and the session that reads from it.
#[derive(Debug)]
pub(super) struct RequestFilter {
    phase: Phase,
    head: HeadScanner,
    /// What was read and has not been handed on: a head that is not whole, or requests after this one.
    kept: BytesMut,
    /// How much of it may be handed on.
    ready: usize,
}

/// What comes next.
#[derive(Debug)]
enum Phase {
    /// A head, or the rest of it.
    Head,
    /// So many bytes of a body.
    Length(u64),
    /// A body in chunks.
    Chunks(ChunkScanner),
    /// Nothing of this request.
    Complete,
    /// Nothing any more.
    Refused(Refusal),
    /// Whatever it is.
    Unfiltered,
}

/// Why nothing more is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Malformed(MalformedRequest),
    /// The head is larger than [`MAX_HEAD_BYTES`].
    TooLarge,
}

/// How the body after a head ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunks,
}

impl From<MalformedRequest> for Refusal {
    fn from(malformed: MalformedRequest) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(malformed) => Self::Malformed(malformed),
            Refusal::TooLarge => Self::HeaderTooLarge {
                limit: MAX_HEAD_BYTES,
            },
        }
    }
}

impl From<Framing> for Phase {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Complete,
            Framing::Length(bytes) => Self::Length(bytes),
            Framing::Chunks => Self::Chunks(ChunkScanner::default()),
        }
    }
}

impl RequestFilter {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Complete,
            head: HeadScanner::default(),
            kept: BytesMut::new(),
            ready: 0,
        }
    }

    /// Why nothing more is handed on, if that is so.
    pub(super) const fn refusal(&self) -> Option<Refusal> {
        match self.phase {
            Phase::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether a whole request was handed on, or none was begun.
    pub(super) const fn is_between_requests(&self) -> bool {
        matches!(self.phase, Phase::Complete) && self.ready == 0
    }

    /// Whether something of a head has come, and more is missing.
    pub(super) const fn is_within_head(&self) -> bool {
        matches!(self.phase, Phase::Head) && self.head.has_begun()
    }

    /// Whether there is a head that is whole and has not been handed on.
    pub(super) const fn has_head(&self) -> bool {
        self.ready > 0
    }

    /// Whether something of a later request is here already.
    pub(super) fn has_more(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Whether the head that was read last asks for HEAD.
    pub(super) const fn is_head_request(&self) -> bool {
        self.head.is_head_request()
    }

    /// Whether the head that was read last says that its client wants no other answer on the connection.
    pub(super) const fn wants_close(&self) -> bool {
        self.head.wants_close()
    }

    /// Hands on all that comes from now on, unseen.
    pub(super) fn disable(&mut self) {
        self.phase = Phase::Unfiltered;
        self.ready = self.kept.len();
    }

    /// Reads until the head of the next request is whole, or refused. Gives back whether it came that far before the
    /// client left. Who waits for it may stop and begin again.
    pub(super) fn poll_head(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        if self.is_between_requests() {
            self.head = HeadScanner::default();
            self.phase = Phase::Head;
            if self.has_more() {
                self.judge_head();
            }
        }
        while matches!(self.phase, Phase::Head) {
            if ready!(self.poll_keep(socket, cx, PIECE_BYTES))? == 0 {
                return Poll::Ready(Ok(false));
            }
            self.judge_head();
        }
        Poll::Ready(Ok(true))
    }

    /// A head that is whole, with what came of its body meanwhile: in memory of its own, and no more than that.
    pub(super) fn take_head(&mut self) -> BytesMut {
        let ready = mem::take(&mut self.ready);
        if ready == self.kept.len() {
            return mem::take(&mut self.kept);
        }
        let head = BytesMut::from(self.kept.get(..ready).unwrap_or_default());
        self.kept.advance(ready);
        head
    }

    /// Reads from the socket what may be handed on of a body.
    pub(super) fn poll_read(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.ready > 0 {
                self.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            match self.phase {
                Phase::Unfiltered => return Pin::new(socket).poll_read(cx, buf),
                Phase::Refused(_) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Phase::Complete | Phase::Head => return self.poll_read_ahead(socket, cx),
                Phase::Length(_) | Phase::Chunks(_) => {}
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut *socket).poll_read(cx, buf))?;
            let bytes = buf.filled().get(before..).unwrap_or_default();
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let taken = self.judge_body(bytes);
            self.keep(bytes.get(taken..));
            buf.set_filled(before + taken);
            if taken > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Judges the head that `kept` begins with, as far as it is there.
    fn judge_head(&mut self) {
        match self.head.scan(&self.kept) {
            Ok(None) => {}
            Ok(Some(head)) => {
                head.rewrite(&mut self.kept);
                let length = head.length - head.bytes_cut();
                self.phase = head.framing.into();
                let kept = mem::take(&mut self.kept);
                let taken = self.judge_body(kept.get(length..).unwrap_or_default());
                self.kept = kept;
                self.ready = length + taken;
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// How many of these bytes are part of the body.
    fn judge_body(&mut self, bytes: &[u8]) -> usize {
        match &mut self.phase {
            Phase::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
                if *left == 0 {
                    self.phase = Phase::Complete;
                }
                taken
            }
            Phase::Chunks(chunks) => {
                let (taken, verdict) = chunks.scan(bytes);
                match verdict {
                    Ok(false) => {}
                    Ok(true) => self.phase = Phase::Complete,
                    Err(malformed) => self.phase = Phase::Refused(malformed.into()),
                }
                taken
            }
            _ => 0,
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.phase = Phase::Refused(refusal);
        self.kept = BytesMut::new();
    }

    fn keep(&mut self, bytes: Option<&[u8]>) {
        // What follows a refusal is nothing.
        if let (Some(bytes), None) = (bytes, self.refusal()) {
            self.kept.extend_from_slice(bytes);
        }
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.ready.min(buf.remaining());
        buf.put_slice(self.kept.get(..count).unwrap_or_default());
        self.ready -= count;
        self.kept.advance(count);
        if self.kept.is_empty() {
            // Given back: the connection may be idle for long now.
            self.kept = BytesMut::new();
        }
    }

    /// Reads once, at most so many bytes, and keeps them. Gives back how many there were.
    fn poll_keep(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        PIECE.with_borrow_mut(|piece| {
            let most = most.min(piece.len());
            let mut buf = ReadBuf::new(piece.get_mut(..most).unwrap_or_default());
            ready!(Pin::new(socket).poll_read(cx, &mut buf))?;
            self.kept.extend_from_slice(buf.filled());
            Poll::Ready(Ok(buf.filled().len()))
        })
    }

    /// Waits for the end of what the client sends, while nothing of it is wanted. What comes nevertheless is
    /// of later requests.
    fn poll_read_ahead(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.kept.len() < MAX_BYTES_AHEAD {
            if ready!(self.poll_keep(socket, cx, MAX_BYTES_AHEAD - self.kept.len()))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        // Nobody is woken any more: who sends that much without waiting may stay as long as the answer takes.
        Poll::Pending
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
