//! What a budget goes by, and how it comes under other settings: what was spent, who waits and what is in flight stays.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::budget::{Allowance, Budget};
use super::shared::SharedLimits;

impl Budget {
    /// What so many replicas that share the budget go by. `lease` is the longest time that an exchange is in
    /// flight, `hold` the longest between a request's admission and its sending, `alone` how long one that
    /// Redis does not answer goes by its share.
    #[must_use]
    pub fn shared_limits(
        &self,
        replicas: u32,
        lease: Duration,
        hold: Duration,
        alone: Duration,
    ) -> SharedLimits {
        let allowance = *self.allowance.lock();
        SharedLimits {
            limits: allowance.limits,
            learn: allowance.learn,
            replicas,
            span: allowance.span,
            lease,
            hold,
            alone,
        }
    }

    /// Whether nothing is ever limited here.
    pub(super) fn is_boundless(&self) -> bool {
        let allowance = self.allowance.lock();
        allowance.limits.is_unlimited() && !allowance.learn
    }

    /// Goes by another allowance from now on. Who waits goes on waiting, what is in flight stays so, and what was
    /// sent in this window counts; a limit that was not there before counts what the upstream is known to have
    /// accepted. The span of a window stays. `is_another` says that the budget is spent at another account from
    /// now on, of which nothing was learned yet.
    pub fn set_allowance(&self, allowance: Allowance, is_another: bool) {
        let Allowance { limits, learn, .. } = allowance;
        let before = {
            let mut kept = self.allowance.lock();
            let before = *kept;
            *kept = Allowance {
                span: before.span,
                ..allowance
            };
            before
        };
        if (before.limits, before.learn) == (limits, learn) && !is_another {
            return;
        }
        self.learns.store(learn, Ordering::Relaxed);
        let accepted = |rate| self.accepted_at(rate);
        self.change(|admission, now| {
            admission.set_limits(&limits, accepted, now);
            if is_another || !learn {
                admission.forget_learned(now);
            }
            if let Some(replica) = admission.replica() {
                let shared = *replica.limits();
                replica.set_limits(SharedLimits {
                    limits,
                    learn,
                    ..shared
                });
            }
        });
        self.tell_left(limits.requests.is_some());
        // Both tasks look anew at what they do.
        self.sooner.notify_one();
        self.question.notify_one();
    }

    /// Where replicas share the budget: how long an exchange is in flight at most, and how long a replica goes by
    /// its share that Redis does not answer, from now on.
    pub fn set_patience(&self, lease: Duration, alone: Duration) {
        self.change(|admission, _| {
            if let Some(replica) = admission.replica() {
                let shared = *replica.limits();
                replica.set_limits(SharedLimits {
                    lease,
                    alone,
                    ..shared
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use http::{HeaderMap, StatusCode};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::quota::limits::Rate;
    use crate::quota::simulation::{SPAN, Simulation, millis, on_paused_clock, retrieve};
    use crate::quota::{Kind, Limits};

    fn allowance(requests: u32, reads: Option<u32>) -> Allowance {
        Allowance {
            limits: Limits {
                requests: Some(requests),
                reads,
                ..Limits::default()
            },
            replicas: 1,
            learn: true,
            span: SPAN,
        }
    }

    #[test]
    fn who_waits_goes_on_waiting_under_other_limits_and_what_was_sent_counts() {
        on_paused_clock(async {
            let simulation = Simulation::new(allowance(1, None).limits, SPAN);
            simulation.visit(retrieve(0, millis(1_000))).await.unwrap();
            let waiting = {
                let simulation = Arc::clone(&simulation);
                let began = Instant::now();
                tokio::spawn(async move {
                    simulation.visit(retrieve(1, 2 * SPAN)).await.unwrap();
                    began.elapsed()
                })
            };
            sleep(millis(1_000)).await;
            assert!(!waiting.is_finished());
            simulation.budget.set_allowance(allowance(2, None), false);
            assert!(
                waiting.await.unwrap() < millis(2_000),
                "there is room for one more"
            );
            let refused = simulation.visit(retrieve(2, millis(1_000))).await;
            assert!(refused.is_err(), "and for no other: the first one counts");
            simulation.assert_left_clean();
        });
    }

    #[test]
    fn what_was_learned_is_forgotten_with_the_account_that_taught_it_and_not_with_the_limits() {
        on_paused_clock(async {
            let simulation = Simulation::new(allowance(1_000, Some(900)).limits, SPAN);
            let budget = &simulation.budget;
            sleep(SPAN).await;
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, "1".parse().unwrap())]);
            budget.answered(
                Kind::Read,
                StatusCode::TOO_MANY_REQUESTS,
                &headers,
                SystemTime::now(),
            );
            let learned = || budget.change(|admission, now| admission.learned(Rate::Reads, now));
            let taught = learned();
            assert!(taught.is_some());
            budget.set_allowance(allowance(1_000, Some(800)), false);
            assert_eq!(learned(), taught);
            budget.set_allowance(allowance(1_000, Some(800)), true);
            assert_eq!(learned(), None);
        });
    }
}
