use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use http::{StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use tokio::select;
use tokio::time::sleep;

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
    write_sent: &WriteSent,
    exchange: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let mut exchange = pin!(exchange);
    select! {
        biased;
        outcome = &mut exchange => return outcome,
        () = sleep(UNWATCHED) => {}
    }
    // On the heap, because few get here, and it is large.
    let gone = Box::pin(gone(session));
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
/// look alike. But a machine whose program has closed a connection answers whatever still comes with a reset,
/// so the client is sent what every client of HTTP/1.1 passes over, a `100 Continue`.
async fn gone(session: &mut ServerSession) {
    let ServerSession::H1(connection) = session else {
        // Without an error the stream is merely at its end.
        if session.read_body_or_idle(true).await.is_ok() {
            pending::<()>().await;
        }
        return;
    };
    match connection.idle().await {
        Err(_reset) => return,
        Ok(read) => {
            // Something of the next request was read and is lost, or none will come.
            session.set_keepalive(None);
            let understands_interim = session.req_header().version >= Version::HTTP_11;
            if read > 0 || !understands_interim {
                return pending().await;
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
