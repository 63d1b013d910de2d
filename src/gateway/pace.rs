use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::poll_immediate;
use pingora::Error;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::time::timeout;

use crate::config::Listen;

/// An answer is written in pieces, so that a client that takes it slowly is seen to take it.
const PIECE_BYTES: RangeInclusive<usize> = 4 * 1024..=64 * 1024;
/// How often a client is looked at that does not take what was written.
const LOOK: Duration = Duration::from_millis(500);
/// How long a client may take for one piece while the process stops: what nobody reads must not hold it up.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How fast clients have to take their answers.
pub(super) struct Pace<'a> {
    limit: &'a Listen,
    is_stopping: &'a AtomicBool,
}

/// Why an answer was not written to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The client takes it too slowly, or not at all.
    #[error("the client does not take its answer")]
    TooSlow,
    /// The connection broke.
    #[error("{}", .0.etype().as_str())]
    Broken(#[from] Box<Error>),
}

impl<'a> Pace<'a> {
    pub(super) const fn new(limit: &'a Listen, is_stopping: &'a AtomicBool) -> Self {
        Self { limit, is_stopping }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Writes an answer, as long as the client keeps pace: in each `listen.write_timeout` it takes as many
    /// bytes as the least rate makes in that time, or the rest.
    pub(super) async fn write(
        &self,
        session: &mut ServerSession,
        header: ResponseHeader,
        mut body: Bytes,
    ) -> Result<(), WriteError> {
        let least = least_bytes(self.limit);
        let piece_bytes = least.clamp(*PIECE_BYTES.start(), *PIECE_BYTES.end());
        let (mut since, mut taken) = (None, 0);
        // It is held back, so that it leaves with the first piece.
        self.wait(session.write_response_header(Box::new(header)), &mut since)
            .await?;
        loop {
            let piece = body.split_to(body.len().min(piece_bytes));
            let (length, is_last) = (piece.len(), body.is_empty());
            self.wait(session.write_response_body(piece, is_last), &mut since)
                .await?;
            if is_last {
                return Ok(());
            }
            taken += length;
            if taken >= least {
                (since, taken) = (None, 0);
            }
        }
    }

    /// Waits for a write. The time that it belongs to began at `since`, or begins when it is first waited for.
    async fn wait(
        &self,
        write: impl Future<Output = pingora::Result<()>>,
        since: &mut Option<Instant>,
    ) -> Result<(), WriteError> {
        let mut write = std::pin::pin!(write);
        // As a rule the kernel takes it at once, and no clock is read for that.
        if let Some(outcome) = poll_immediate(&mut write).await {
            return Ok(outcome?);
        }
        let began = Instant::now();
        let since = *since.get_or_insert(began);
        loop {
            let left = self.limit.write_timeout.saturating_sub(since.elapsed());
            if let Ok(outcome) = timeout(left.min(LOOK), &mut write).await {
                return Ok(outcome?);
            }
            let is_late = since.elapsed() >= self.limit.write_timeout;
            if is_late || self.is_stopping() && began.elapsed() >= STOP_TIMEOUT {
                return Err(WriteError::TooSlow);
            }
        }
    }
}

/// How many bytes a client has to take in each `listen.write_timeout`, if there are as many.
pub(super) fn least_bytes(limit: &Listen) -> usize {
    let seconds = usize::try_from(limit.write_timeout.as_secs()).unwrap_or(usize::MAX);
    limit.min_send_bytes_per_second.saturating_mul(seconds.max(1))
}
