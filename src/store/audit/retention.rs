use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};

use crate::store::error::within;
use crate::store::key_columns::parse_timestamp;
use crate::store::transaction::{query, query_scalar};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;
use crate::text::format_timestamp;

/// How often old records are looked for.
const PERIOD: Duration = Duration::from_secs(10 * 60);
/// How soon again where the store did not answer.
const RETRY: Duration = Duration::from_secs(60);
/// How long the store may take. What is left then is deleted the next time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How far ahead of what was seen a clock is believed at once.
const BELIEVED_AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// From where on it is worth a word.
const REMARKABLY_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// How late it is, for retention. A clock that jumped ahead would make everything look old, and nothing
/// brings back what was deleted. So the time moves on from what the store has seen, at most twice as fast as
/// time goes by: a gateway that was off for a while catches up, and a clock that is wrong for an hour costs
/// an hour.
#[derive(Clone, Copy, Debug)]
struct RetentionClock {
    seen: Timestamp,
    since: Instant,
}

impl RetentionClock {
    /// How late it is at most, whatever the clock says.
    fn limit(self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.since.elapsed()).unwrap_or(SignedDuration::MAX);
        let ahead = elapsed.saturating_mul(2).saturating_add(BELIEVED_AHEAD);
        self.seen.checked_add(ahead).unwrap_or(Timestamp::MAX)
    }
}

impl Store {
    /// Deletes records of the audit that are older than `retention`, now and every ten minutes, without end.
    pub async fn keep_audit_for(&self, retention: Duration, metrics: &Metrics) {
        let mut clock = None;
        let mut is_ahead = false;
        loop {
            let pass = within(
                ANSWER_TIMEOUT,
                self.delete_old_audit(retention, &mut clock, Timestamp::now()),
            );
            match pass.await {
                Ok((deleted, ahead)) => {
                    metrics.store.records_deleted.inc_by(deleted);
                    if deleted > 0 {
                        tracing::info!(records = deleted, "old records of the audit were deleted");
                    }
                    let was_ahead = std::mem::replace(&mut is_ahead, ahead >= REMARKABLY_AHEAD);
                    if is_ahead && !was_ahead {
                        tracing::warn!(
                            days = ahead.as_hours() / 24,
                            "the clock is ahead of all that this store has seen; in case it is wrong, records of \
                             the audit grow old by two hours an hour and no faster"
                        );
                    }
                    sleep(PERIOD).await;
                }
                Err(error) => {
                    metrics.store_failures.inc();
                    tracing::warn!(%error, "old records of the audit could not be deleted");
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// How many records were deleted, and how far `now` is ahead of how late it is for retention.
    async fn delete_old_audit(
        &self,
        retention: Duration,
        clock: &mut Option<RetentionClock>,
        now: Timestamp,
    ) -> Result<(u64, SignedDuration), StoreError> {
        let clock = match *clock {
            Some(clock) => clock,
            None => *clock.insert(RetentionClock {
                seen: self.audit_clock().await?.unwrap_or(now),
                since: Instant::now(),
            }),
        };
        let time = now.min(clock.limit());
        self.set_audit_clock(time, now).await?;
        // A retention that reaches back before all time keeps everything.
        let before = time.checked_sub(retention).unwrap_or(Timestamp::MIN);
        Ok((self.forget_audit(before).await?, now.duration_since(time)))
    }

    /// The latest time that retention has seen, or else that of the latest record.
    async fn audit_clock(&self) -> Result<Option<Timestamp>, StoreError> {
        let seen = "SELECT at FROM audit_clock WHERE id = 1";
        let recorded = "SELECT at FROM audit ORDER BY at DESC LIMIT 1";
        for statement in [seen, recorded] {
            let at: Option<String> = self
                .read(async |connection| Ok(query_scalar(statement).fetch_optional(connection).await?))
                .await?;
            if let Some(at) = at {
                return Ok(Some(parse_timestamp(&at)?));
            }
        }
        Ok(None)
    }

    /// Another gateway may have seen more, unless what it has seen is not yet.
    async fn set_audit_clock(&self, time: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.write(async |connection| {
            query(
                "INSERT INTO audit_clock (id, at) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET at = $1 \
                 WHERE audit_clock.at < $1 OR audit_clock.at > $2",
            )
            .bind(format_timestamp(time))
            .bind(format_timestamp(now))
            .execute(connection)
            .await?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests;
