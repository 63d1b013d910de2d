use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use http::{StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::time::sleep as short_sleep;
use tokio::select;
use tokio::time::sleep;

use super::stream::client_stream;
use crate::contract::ApiError;
use crate::upstream::WriteSent;

/// Most answers are there sooner, and cost no system call for a look at their client.
const UNWATCHED: Duration = Duration::from_millis(50);
/// How long after each of the signs that a client is given an answer of its machine to it is looked for.
const PATIENCE: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Drives what a client waits for, unless the client is gone. A read is given up then, and so is a write that
/// has not been sent, with the places that they hold. A write on its way is seen to its end: it happens,
/// whoever hears of it.
pub(super) async fn unless_gone<T>(
    session: &mut ServerSession,
    probes_half_closed: bool,
    write_sent: &WriteSent,
    exchange: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let mut exchange = pin!(exchange);
    select! {
        biased;
        outcome = &mut exchange => return outcome,
        () = short_sleep(UNWATCHED) => {}
    }
    // On the heap, because few get here, and it is large.
    let gone = Box::pin(gone(session, probes_half_closed));
    select! {
        biased;
        outcome = &mut exchange => outcome,
        () = gone => match write_sent.is_set() {
            true => exchange.await,
            false => Err(ApiError::ClientGone),
        },
    }
}

/// Waits until the client is gone for certain: for ever, if it stays.
///
/// A client that ends its side of the connection may still want its answer, or may have closed it whole; both
/// look alike. A machine whose program has closed a connection answers whatever still comes with a reset, but
/// there is nothing to send that is not seen by a client that waits: HTTP/1.1 has `100 Continue`, which some
/// clients take for a broken answer. So that is sent only where the operator wants it, and never to HTTP/1.0,
/// which has no such thing. Otherwise such a client counts as one that waits until its machine resets the
/// connection, by itself or because it does not know it any more when the kernel asks.
async fn gone(session: &mut ServerSession, probes_half_closed: bool) {
    let ServerSession::H1(connection) = session else {
        // Without an error the stream is merely at its end.
        if session.read_body_or_idle(true).await.is_ok() {
            pending::<()>().await;
        }
        return;
    };
    match connection.idle().await {
        Err(_reset) => return,
        // What the client sends meanwhile is kept for its next request, and no byte comes here.
        Ok(_end) => {
            let has_more = client_stream(session).is_some_and(|stream| stream.filter().has_more());
            if !has_more {
                session.set_keepalive(None);
            }
            let understands_interim = session.req_header().version >= Version::HTTP_11;
            if !probes_half_closed || !understands_interim {
                return match client_stream(session) {
                    Some(stream) => stream.broken().await,
                    None => pending().await,
                };
            }
        }
    }
    for patience in PATIENCE {
        if send_sign(session).await.is_err() {
            return;
        }
        sleep(patience).await;
    }
    if send_sign(session).await.is_ok() {
        pending().await
    }
}

async fn send_sign(session: &mut ServerSession) -> pingora::Result<()> {
    let sign = ResponseHeader::build(StatusCode::CONTINUE, Some(0))?;
    session.write_response_header(Box::new(sign)).await
}
