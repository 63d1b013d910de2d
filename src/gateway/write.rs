use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, VARY, VIA};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::Shutdown;
use pingora::protocols::http::ServerSession;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::pace::{Pace, WriteError};
use super::request;
use super::stream::ClientStream;
use crate::contract::Answer;

/// A body that nobody read is read and dropped, or the client sees a reset instead of its answer, and
/// official clients repeat a reset. Up to this size the connection lives on afterwards.
const CHEAP_TO_DRAIN: usize = 64 * 1024;
const DRAIN_BYTES: u64 = 32 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of it is read at once from a connection that closes. Little, because many may do so at once.
const DRAIN_PIECE_BYTES: usize = 2048;

/// Nobody between gateway and client may keep an answer, or give it to another: who asks stands in these
/// fields, and so does what is spoken. It is said of errors too, of those as well that nobody could be asked
/// for.
const ON_EVERY_ANSWER: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        VARY,
        HeaderValue::from_static("authorization, x-api-key, anthropic-version, anthropic-beta"),
    ),
    (VIA, HeaderValue::from_static("1.1 envgate")),
];
/// Length, date, and whether the connection stays.
const FRAMING_FIELDS: usize = 3;

/// Pingora's word for a connection that stays: its own wait for the next request has no end, ours has.
pub(super) const KEEP: Option<u64> = Some(0);

/// Writes the answer to a request whose head was read, and sees to it that the client can read it.
pub(super) async fn answer(
    session: &mut ServerSession,
    answer: Answer,
    pace: &Pace<'_>,
) -> Result<(), WriteError> {
    let unread = Unread::of(session);
    if pace.is_stopping() || matches!(unread, Unread::Much | Unread::NotAskedFor) {
        session.set_keepalive(None);
    }
    // What little is unread, Pingora drains before it reuses the connection, if it is told not to close it.
    session.set_close_on_response_before_downstream_finish(false);
    session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));

    let (header, mut body) = into_parts(answer)?;
    if session.req_header().method == Method::HEAD {
        body.clear();
    }
    pace.write(session, header, body).await?;
    match unread {
        Unread::Much => drain(session).await,
        // There is no connection to reuse, and the client should not see its stream reset either.
        Unread::Little if session.is_http2() => drain(session).await,
        _ => {}
    }
    Ok(())
}

/// Writes the answer to what is no request. The session must be [closed](close) afterwards: nobody knows
/// where the next request would begin.
pub(super) async fn last_answer(
    session: &mut ServerSession,
    answer: Answer,
    pace: &Pace<'_>,
) -> Result<(), WriteError> {
    session.set_keepalive(None);
    let (header, body) = into_parts(answer)?;
    pace.write(session, header, body).await
}

/// Closes a connection so that the client can read what was written: whatever it still sends is read for a
/// while and dropped, as a reset would take the answer with it.
pub(super) async fn close(session: ServerSession) {
    let ServerSession::H1(session) = session else {
        return;
    };
    let Ok(mut stream) = session.into_inner().into_any().downcast::<ClientStream>() else {
        return;
    };
    stream.stop_filtering();
    let lingering = async {
        Shutdown::shutdown(&mut *stream).await;
        let mut rest = stream.take(DRAIN_BYTES);
        let mut piece = vec![0; DRAIN_PIECE_BYTES];
        while rest.read(&mut piece).await.is_ok_and(|read| read > 0) {}
    };
    // Whatever is left after that, the client has had its time to stop.
    let _ = timeout(DRAIN_TIMEOUT, lingering).await;
}

/// An answer as it is written, framed by its length.
pub(super) fn into_parts(answer: Answer) -> pingora::Result<(ResponseHeader, Bytes)> {
    let room = answer.headers.len() + ON_EVERY_ANSWER.len() + FRAMING_FIELDS;
    let mut header = ResponseHeader::build_no_case(answer.status, Some(room))?;
    for (name, value) in answer.headers {
        header.append_header(name, value)?;
    }
    for (name, value) in ON_EVERY_ANSWER {
        header.append_header(name, value)?;
    }
    if answer.status != StatusCode::NO_CONTENT {
        header.insert_header(CONTENT_LENGTH, answer.body.len())?;
    }
    Ok((header, answer.body))
}

/// What of the request body has not been read when the answer is ready.
enum Unread {
    Nothing,
    /// So little that reading it is cheaper than a new connection.
    Little,
    Much,
    /// The client waits for `100 Continue` and will not send it.
    NotAskedFor,
}

impl Unread {
    fn of(session: &mut ServerSession) -> Self {
        if session.is_body_done() {
            return Self::Nothing;
        }
        let headers = &session.req_header().headers;
        if request::expects_continue(session.req_header()) && session.response_written().is_none() {
            return Self::NotAskedFor;
        }
        match request::announced_length(headers) {
            Some(length) if length <= CHEAP_TO_DRAIN => Self::Little,
            _ => Self::Much,
        }
    }
}

async fn drain(session: &mut ServerSession) {
    let reading = async {
        let mut left = DRAIN_BYTES;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            left = left.saturating_sub(chunk.len().try_into().unwrap_or(u64::MAX));
            if left == 0 {
                return;
            }
        }
    };
    // Whatever is left after that, the client has had its time to stop.
    let _ = timeout(DRAIN_TIMEOUT, reading).await;
}
