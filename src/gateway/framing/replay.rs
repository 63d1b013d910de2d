//! What becomes of bytes on a connection, for whoever wants to know without one.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};

use super::{Refusal, RequestFilter};

/// What became of all that a client sent.
#[derive(Debug, PartialEq, Eq)]
pub struct JudgedRequests {
    /// What was handed on for each request; the last one may not be whole.
    pub requests: Vec<Vec<u8>>,
    /// Whether the end came where a request could have begun, and nothing was refused.
    pub is_whole: bool,
    pub(super) refusal: Option<Refusal>,
}

impl JudgedRequests {
    /// Whether something of it was refused, after which nothing is handed on.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }
}

/// A socket that gives these pieces, one with each read, and ends.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let pieces = &mut self.get_mut().0;
        if let Some(piece) = pieces.front_mut() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(piece);
            *piece = rest;
            if piece.is_empty() {
                pieces.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads requests as a session of HTTP/1 does, from pieces that arrive one by one, in buffers of this size, until
/// there is nothing more.
///
/// ```
/// let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
/// let judged = envgate::gateway::judge_bytes([[request.clone(), request.clone()].concat()], 1024);
/// assert_eq!(judged.requests, [request.clone(), request]);
/// assert!(judged.is_whole && !judged.is_refused());
/// assert!(envgate::gateway::judge_bytes([b"GET / HTTP/1.1\r\n\r\n".to_vec()], 1024).is_refused());
/// ```
#[must_use]
pub fn judge_bytes(pieces: impl IntoIterator<Item = Vec<u8>>, buffer_bytes: usize) -> JudgedRequests {
    let mut socket = Pieces(pieces.into_iter().filter(|piece| !piece.is_empty()).collect());
    let mut filter = RequestFilter::new();
    let mut requests = Vec::new();
    let mut request = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let is_whole = loop {
        if filter.is_between_requests() {
            requests.push(std::mem::take(&mut request));
            match filter.poll_head(&mut socket, &mut cx) {
                Poll::Ready(Ok(true)) if filter.has_head() => {
                    request.extend_from_slice(&filter.take_head());
                }
                // There is always something to read, or the end.
                _ => break !filter.is_within_head() && filter.refusal().is_none(),
            }
            continue;
        }
        let mut space = vec![0; buffer_bytes];
        let mut buf = ReadBuf::new(&mut space);
        match filter.poll_read(&mut socket, &mut cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => request.extend_from_slice(buf.filled()),
            _ => break false,
        }
    };
    requests.push(request);
    requests.retain(|request| !request.is_empty());
    JudgedRequests {
        requests,
        is_whole,
        refusal: filter.refusal(),
    }
}
