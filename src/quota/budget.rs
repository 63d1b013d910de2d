use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::admission::{Admission, Ticket};
use super::fair_queue::QueueId;
use super::limits::{
    BudgetRejection, Kind, LimitedBy, Limits, RateLimitStatus, RejectionReason, TenantLimits, TenantQuota,
};
use super::shared::{RedisBudget, ReplicaState, SharedLimits};
use crate::telemetry::BudgetMetrics;

/// What may go up for one organisation, and who is next. Shared by all workers.
#[derive(Debug)]
pub struct Budget {
    name: String,
    limits: Limits,
    span: Duration,
    /// Whether the upstream has asked for silence, so that those without any limit look no further.
    is_closed: AtomicBool,
    state: Mutex<State>,
    /// Tells [`run`](Self::run) that it must wake sooner than it thought.
    sooner: Notify,
    /// Tells [`share`](Self::share) that there is something to ask.
    question: Notify,
    metrics: BudgetMetrics,
}

#[derive(Debug)]
struct State {
    admission: Admission<oneshot::Sender<()>>,
    /// When [`run`](Budget::run) means to wake.
    wakes_at: Option<Instant>,
}

/// How often the metrics of a budget are brought up to date where nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait before a Redis that does not answer is tried again.
const RECONNECT: Duration = Duration::from_millis(200);

impl Budget {
    /// A budget of which all is left. `span` is how long a request counts: a minute, but in tests.
    #[must_use]
    pub fn new(name: &str, limits: Limits, span: Duration, metrics: BudgetMetrics) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            limits,
            span,
            is_closed: AtomicBool::new(false),
            state: Mutex::new(State {
                admission: Admission::new(&limits, span),
                wakes_at: None,
            }),
            sooner: Notify::new(),
            question: Notify::new(),
            metrics,
        })
    }

    /// The name that the settings have for it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What so many replicas that share the budget go by. `lease` is the longest time that an exchange is in
    /// flight, `hold` the longest between a request's admission and its sending.
    #[must_use]
    pub const fn shared_limits(&self, replicas: u32, lease: Duration, hold: Duration) -> SharedLimits {
        SharedLimits {
            limits: self.limits,
            replicas,
            span: self.span,
            lease,
            hold,
        }
    }

    /// Whether nothing limits requests of a tenant with these limits, so that there need be no waiting and no
    /// lock.
    pub(super) fn is_open_to(&self, limits: &TenantLimits) -> bool {
        self.limits.is_unlimited() && limits.is_unlimited() && !self.is_closed.load(Ordering::Relaxed)
    }

    /// Counts one that was admitted, after so long a wait if there was any.
    pub(super) fn count_admitted(&self, waited: Option<Duration>) {
        self.metrics.admitted.inc();
        if let Some(waited) = waited {
            self.metrics.wait.observe(waited.as_secs_f64());
        }
    }

    /// Waits for a slot in flight and its first request, in the tenant's queue, which it gives back.
    pub(super) async fn wait_in_queue(
        self: &Arc<Self>,
        tenant_quota: &TenantQuota<'_>,
        kind: Kind,
        until: Instant,
    ) -> Result<QueueId, BudgetRejection> {
        let (granted, turn) = oneshot::channel();
        let patience = until.saturating_duration_since(Instant::now());
        let arrived =
            self.change(|admission, now| admission.arrive(tenant_quota, kind, granted, patience, now));
        let outcome = match arrived {
            Ok(ticket) => self.wait(ticket, turn, until).await.map(|()| ticket.queue),
            Err(refused) => Err(refused),
        };
        outcome.map_err(|refused| self.count_refused(refused))
    }

    /// Waits for another request of an exchange that has its slot.
    pub(super) async fn follow_up(
        self: &Arc<Self>,
        queue: QueueId,
        kind: Kind,
        until: Instant,
    ) -> Result<(), BudgetRejection> {
        let (granted, turn) = oneshot::channel();
        let ticket = self.change(|admission, _| admission.follow_up(queue, kind, granted));
        let outcome = self.wait(ticket, turn, until).await;
        outcome.map_err(|refused| self.count_refused(refused))
    }

    /// Lets nothing through for so long: the upstream has asked for it.
    pub fn close_for(&self, duration: Duration) {
        tracing::warn!(
            budget = self.name,
            seconds = duration.as_secs_f64(),
            "the upstream asks for silence"
        );
        self.is_closed.store(true, Ordering::Relaxed);
        self.change(|admission, now| admission.close_for(duration, now));
    }

    /// Where a tenant stands in its own limit of requests; none where its plan has none.
    #[must_use]
    pub fn rate_limit_status(&self, tenant_quota: &TenantQuota<'_>) -> Option<RateLimitStatus> {
        tenant_quota.limits.requests?;
        let now = Instant::now();
        self.state.lock().admission.rate_limit_status(tenant_quota, now)
    }

    /// Admits those whose turn has come by time alone. For as long as the process lives.
    pub async fn run(self: Arc<Self>) {
        let mut forgets_at = Instant::now() + self.span;
        loop {
            let now = Instant::now();
            if now >= forgets_at {
                forgets_at = now + self.span;
                self.change(|admission, now| admission.forget_idle(now));
            }
            self.change(|_, _| ());
            let wakes_at = {
                let mut state = self.state.lock();
                let tick = now + TICK;
                let wakes_at = state.wakes_at.map_or(tick, |wakes_at| wakes_at.min(tick));
                state.wakes_at = Some(wakes_at);
                wakes_at
            };
            tokio::select! {
                () = sleep_until(wakes_at) => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    /// Asks Redis, from now on and until `stopped`, whether more may go up, because other replicas use the
    /// budget too.
    pub async fn share(self: Arc<Self>, mut redis: RedisBudget, stopped: impl Future<Output = ()>) {
        if self.limits.is_unlimited() {
            return;
        }
        self.change(|admission, now| {
            let replica = ReplicaState::new(*redis.limits(), redis.replica().to_owned(), now);
            admission.share(replica, now);
        });
        let is_cut_off = &mut false;
        tokio::select! {
            () = self.talk(&mut redis, is_cut_off) => {}
            () = stopped => {}
        }
        let leave = self.change(|admission, _| admission.replica().map(ReplicaState::leave));
        if let (false, Some(leave)) = (*is_cut_off, leave)
            && let Err(error) = redis.tell(&leave).await
        {
            tracing::warn!(budget = self.name, %error, "Redis could not be told that this replica stops");
        }
    }

    async fn talk(&self, redis: &mut RedisBudget, is_cut_off: &mut bool) {
        loop {
            let Some(message) = self.change(|admission, now| admission.question(now)) else {
                let asks_at = self.change(|admission, now| {
                    let replica = admission.replica();
                    replica.map_or(now + TICK, |replica| replica.asks_at(now))
                });
                tokio::select! {
                    () = sleep_until(asks_at) => {}
                    () = self.question.notified() => {}
                }
                continue;
            };
            let answer = redis.tell(&message).await;
            self.change(|admission, now| match (&answer, admission.replica()) {
                (Ok(answer), Some(replica)) => replica.answered(*answer, now),
                (Err(_), Some(replica)) => replica.lost(message),
                (_, None) => {}
            });
            match answer {
                Ok(_) if *is_cut_off => {
                    tracing::info!(budget = self.name, "Redis answers again");
                    *is_cut_off = false;
                }
                Ok(_) => {}
                Err(error) => {
                    if !*is_cut_off {
                        tracing::warn!(
                            budget = self.name,
                            %error,
                            "Redis does not answer; nothing more goes up until what went up has run out, then this \
                             replica's share"
                        );
                    }
                    *is_cut_off = true;
                    sleep(RECONNECT).await;
                }
            }
            self.metrics.redis_up.set(i64::from(!*is_cut_off));
        }
    }

    /// How many wait, how many are in flight, and how many queues are remembered.
    #[cfg(test)]
    pub(super) fn occupation(&self) -> (usize, u32, usize) {
        let admission = &self.state.lock().admission;
        (admission.waiting(), admission.in_flight(), admission.queues())
    }

    /// Changes something and admits all whose turn that makes it.
    pub(super) fn change<R>(
        &self,
        change: impl FnOnce(&mut Admission<oneshot::Sender<()>>, Instant) -> R,
    ) -> R {
        let mut state = self.state.lock();
        let state = &mut *state;
        // Under the lock, so that nothing is ever stamped with an earlier time than what was stamped before.
        let now = Instant::now();
        let admission = &mut state.admission;
        let changed = change(admission, now);
        // Who waits takes itself out before it lets go of its end.
        admission.dispatch(now, |granted: oneshot::Sender<()>| {
            let _ = granted.send(());
        });

        let is_closed = admission.closed_until(now).is_some();
        self.is_closed.store(is_closed, Ordering::Relaxed);
        self.metrics.closed.set(i64::from(is_closed));
        self.metrics.queued.set(gauge(admission.waiting()));
        self.metrics.in_flight.set(i64::from(admission.in_flight()));
        if let (Some(metric), Some(left)) = (&self.metrics.left, admission.left(now)) {
            metric.set(gauge(left));
        }
        if admission.has_question(now) {
            self.question.notify_one();
        }
        let wakes_at = admission.wakes_at(now);
        if wakes_at.is_some_and(|at| state.wakes_at.is_none_or(|known| at < known)) {
            self.sooner.notify_one();
        }
        state.wakes_at = wakes_at;
        changed
    }

    async fn wait(
        self: &Arc<Self>,
        ticket: Ticket,
        turn: oneshot::Receiver<()>,
        until: Instant,
    ) -> Result<(), BudgetRejection> {
        let asked = Instant::now();
        let mut waiting = Waiting {
            budget: self,
            ticket,
            turn,
            is_over: false,
        };
        if waiting.has_turn() {
            return Ok(());
        }
        if let Some(refused) = self.change(|admission, now| admission.refuse_late(ticket, until, now)) {
            // Somebody may have left meanwhile.
            return if waiting.give_up() { Err(refused) } else { Ok(()) };
        }
        let outcome = timeout_at(until, &mut waiting.turn).await;
        if let Ok(Ok(())) = outcome {
            waiting.is_over = true;
            return Ok(());
        }
        if waiting.give_up() {
            let patience = until.saturating_duration_since(asked);
            let because = RejectionReason::Waited;
            Err(self.change(|admission, now| admission.refuse(ticket, because, patience, now)))
        } else {
            Ok(())
        }
    }

    fn count_refused(&self, refused: BudgetRejection) -> BudgetRejection {
        let reasons = match refused.limited_by {
            LimitedBy::Tenant => &self.metrics.refused_by_tenant,
            LimitedBy::Upstream => &self.metrics.refused_by_upstream,
        };
        match refused.because {
            RejectionReason::QueueFull => reasons.queue_full.inc(),
            RejectionReason::TooLate => reasons.too_late.inc(),
            RejectionReason::Waited => reasons.waited.inc(),
        }
        refused
    }
}

/// One that waits. However it is dropped, it leaves its queue, or gives back what it was admitted to.
struct Waiting<'a> {
    budget: &'a Budget,
    ticket: Ticket,
    turn: oneshot::Receiver<()>,
    is_over: bool,
}

impl Waiting<'_> {
    /// Whether its turn has come.
    fn has_turn(&mut self) -> bool {
        self.is_over = self.turn.try_recv().is_ok();
        self.is_over
    }

    /// Leaves the queue. False where its turn came just before.
    fn give_up(&mut self) -> bool {
        self.is_over = true;
        let ticket = self.ticket;
        self.budget
            .change(|admission, now| admission.withdraw(ticket, now))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over || self.give_up() {
            return;
        }
        let ticket = self.ticket;
        self.budget.change(|admission, now| admission.undo(ticket, now));
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
