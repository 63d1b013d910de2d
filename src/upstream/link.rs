use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::stream::{Heard, Stream, Transport};
use super::{Failure, Reply};

/// One HTTP/1.1 connection, driven in the task that uses it: no task of its own, no channel to one.
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Stream>, Full<Bytes>>,
    /// Whether `connection` has run to its end and must not be polled again.
    is_finished: bool,
    heard: Heard,
    /// The upstream's address.
    pub(super) address: SocketAddr,
}

/// Why a request on a link has no reply.
pub(super) enum LinkFailure {
    /// The request never started; here it is again.
    NotSent(Box<Request<Full<Bytes>>>),
    /// It started. `is_silent` where not one byte of an answer came.
    Broken { error: hyper::Error, is_silent: bool },
    /// The reply is larger than allowed.
    TooLarge,
}

impl LinkFailure {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::NotSent(_) => Failure::Unreachable(io::Error::other(
                "the connection closed before the request started",
            )),
            Self::Broken { error, .. } => Failure::Broken(error),
            Self::TooLarge => Failure::TooLarge,
        }
    }
}

impl Link {
    pub(super) async fn open(transport: Transport, address: SocketAddr) -> hyper::Result<Self> {
        let heard = Heard::default();
        let stream = TokioIo::new(Stream::new(transport, heard.clone()));
        let (sender, connection) = http1::Builder::new().handshake(stream).await?;
        Ok(Self {
            sender,
            connection,
            is_finished: false,
            heard,
            address,
        })
    }

    /// Sends one request and reads its whole reply, of at most `limit` bytes.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Reply, LinkFailure> {
        self.heard.reset();
        let mut sending = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let is_finished = &mut self.is_finished;
        let sent = poll_fn(|cx| {
            drive(connection, is_finished, cx);
            sending.as_mut().poll(cx)
        });
        let response = sent.await.map_err(|mut failed| match failed.take_message() {
            Some(request) => LinkFailure::NotSent(Box::new(request)),
            None => LinkFailure::Broken {
                error: failed.into_error(),
                is_silent: !self.heard.is_set(),
            },
        })?;
        self.read(response, limit).await
    }

    async fn read(&mut self, response: Response<Incoming>, limit: usize) -> Result<Reply, LinkFailure> {
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
                    return Err(LinkFailure::Broken {
                        error,
                        is_silent: false,
                    });
                }
            };
            length = length.saturating_add(chunk.len());
            if length > limit {
                return Err(LinkFailure::TooLarge);
            }
            read.push(chunk);
        }
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
