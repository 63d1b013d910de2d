use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::budget::Budget;
use super::shared::{RedisBudget, RedisBudgetError, ReplicaState, SharedLimits};

/// How long to wait before a Redis that does not answer is tried again.
const RECONNECT: Duration = Duration::from_millis(200);
/// How long to wait before a server is tried again that is of the wrong sort.
const UNSUPPORTED: Duration = Duration::from_secs(10);
/// How often Redis is heard of where a budget has nothing to tell it.
const TICK: Duration = Duration::from_secs(1);

impl Budget {
    /// Asks Redis, from now on and until `stopped`, whether more may go up, because other replicas use the
    /// budget too.
    pub async fn share(self: Arc<Self>, mut redis: RedisBudget, stopped: impl Future<Output = ()>) {
        let mut stopped = pin!(stopped);
        // Nobody needs to be asked where nothing is limited; other settings may change that.
        while self.is_boundless() {
            tokio::select! {
                () = self.question.notified() => {}
                () = &mut stopped => return,
            }
        }
        self.metrics.has_seat.set(0);
        self.metrics.replicas.set(0);
        let SharedLimits {
            replicas,
            lease,
            hold,
            alone,
            ..
        } = *redis.limits();
        let limits = self.shared_limits(replicas, lease, hold, alone);
        self.change(|admission, now| {
            let replica = ReplicaState::new(limits, redis.replica().to_owned(), now);
            admission.share(replica, now);
        });
        let is_cut_off = &mut false;
        tokio::select! {
            () = self.talk(&mut redis, is_cut_off) => {}
            () = &mut stopped => {}
        }
        let leaving = self.change(|admission, now| admission.replica().map(|replica| replica.leave(now)));
        if let (false, Some(leaving)) = (*is_cut_off, leaving)
            && let Err(error) = redis.tell(&leaving).await
        {
            tracing::warn!(budget = self.name(), %error, "Redis could not be told that this replica stops");
        }
    }

    async fn talk(&self, redis: &mut RedisBudget, is_cut_off: &mut bool) {
        loop {
            let Some(mut message) = self.change(|admission, now| admission.question(now)) else {
                sleep_until_or_asked(self).await;
                continue;
            };
            message.accepted = self.take_accepted();
            let limits = self.change(|admission, _| admission.replica().map(|replica| *replica.limits()));
            let told = match limits.map_or(Ok(()), |limits| redis.set_limits(limits)) {
                Ok(()) => redis.tell(&message).await,
                Err(error) => Err(error),
            };
            let error = self.change(|admission, now| match (told, admission.replica()) {
                (Ok(answer), Some(replica)) => {
                    replica.answered(answer, now);
                    None
                }
                (Err(error), Some(replica)) => {
                    replica.lost(message, now);
                    Some(error)
                }
                (_, None) => None,
            });
            self.metrics.redis_up.set(i64::from(error.is_none()));
            if let Some(error) = error {
                self.tell_cut_off(&error, *is_cut_off);
                *is_cut_off = true;
                let is_unsupported = matches!(error, RedisBudgetError::Unsupported(_));
                sleep(if is_unsupported { UNSUPPORTED } else { RECONNECT }).await;
            } else if *is_cut_off {
                tracing::info!(budget = self.name(), "Redis answers again");
                *is_cut_off = false;
            }
        }
    }

    fn tell_cut_off(&self, error: &RedisBudgetError, is_known: bool) {
        match error {
            _ if is_known => {}
            RedisBudgetError::Unsupported(_) => {
                tracing::error!(budget = self.name(), %error, "the budget cannot be shared");
            }
            _ => tracing::warn!(budget = self.name(), %error, "Redis does not answer"),
        }
    }
}

async fn sleep_until_or_asked(budget: &Budget) {
    let asks_at = budget.change(|admission, now| {
        let replica = admission.replica();
        replica.map_or(now + TICK, |replica| replica.asks_at(now))
    });
    // Where that is now there is nothing to say all the same.
    let asks_at = asks_at.max(Instant::now() + Duration::from_millis(1));
    tokio::select! {
        () = sleep_until(asks_at) => {}
        () = budget.question.notified() => {}
    }
}
