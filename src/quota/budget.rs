use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use prometheus::IntGauge;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::admission::{Admission, Ticket};
use super::fair_queue::QueueId;
use super::learning::Accepted;
use super::limits::{
    BudgetRejection, Kind, LimitedBy, Limits, Rate, RateLimitStatus, RejectionReason, TenantLimits,
    TenantQuota,
};
use super::report::Report;
use super::retry_after::retry_after;
use super::shared::AcceptedCounts;
use crate::telemetry::BudgetMetrics;
use crate::tenancy::TenantId;

/// What one gateway may let up under a budget, unless it shares that in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The limits; its share of them, where nobody can tell what others do.
    pub limits: Limits,
    /// How many gateways have such a share.
    pub replicas: u32,
    /// Whether the upstream's refusals lower the limits for a while.
    pub learn: bool,
    /// How long a request counts: a minute, but in tests.
    pub span: Duration,
}

/// What may go up for one organisation, and who is next. Shared by all workers.
#[derive(Debug)]
pub struct Budget {
    name: String,
    /// Replaced where the settings are read again.
    pub(super) allowance: Mutex<Allowance>,
    /// Whether the upstream's refusals teach anything, so that nobody looks further for each reply.
    pub(super) learns: AtomicBool,
    /// Whether anything is limited now, silence included, so that else nobody looks further.
    is_limited: AtomicBool,
    state: Mutex<State>,
    accepted: Mutex<AcceptedLog>,
    /// Tells [`run`](Self::run) that it must wake sooner than it thought.
    pub(super) sooner: Notify,
    /// Tells [`share`](Self::share) that there is something to ask.
    pub(super) question: Notify,
    pub(super) metrics: BudgetMetrics,
}

/// What the upstream has accepted.
#[derive(Debug)]
struct AcceptedLog {
    lately: Accepted,
    /// What of it Redis has not been told.
    untold: AcceptedCounts,
}

#[derive(Debug)]
struct State {
    admission: Admission<oneshot::Sender<()>>,
    /// How many requests may still be sent; none where that is not limited.
    left: Option<IntGauge>,
    /// When [`run`](Budget::run) means to wake.
    wakes_at: Option<Instant>,
}

/// How often the metrics of a budget are brought up to date where nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// How long there is silence after a refusal of the upstream's that does not say for how long.
const UNTOLD_SILENCE: Duration = Duration::from_secs(3);

impl Budget {
    /// A budget of which all is left.
    #[must_use]
    pub fn new(name: &str, allowance: Allowance, metrics: BudgetMetrics) -> Arc<Self> {
        let now = Instant::now();
        let Allowance {
            limits,
            replicas,
            span,
            ..
        } = allowance;
        metrics.replicas_expected.set(i64::from(replicas));
        Arc::new(Self {
            name: name.to_owned(),
            allowance: Mutex::new(allowance),
            learns: AtomicBool::new(allowance.learn),
            is_limited: AtomicBool::new(!limits.is_unlimited()),
            state: Mutex::new(State {
                admission: Admission::new(&limits, replicas, span, now),
                left: metrics.left(limits.requests.is_some()),
                wakes_at: None,
            }),
            accepted: Mutex::new(AcceptedLog {
                lately: Accepted::new(span, now),
                untold: AcceptedCounts::default(),
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

    /// Whether nothing limits requests of a tenant with these limits, so that there need be no waiting and no
    /// lock.
    pub(super) fn is_open_to(&self, limits: &TenantLimits) -> bool {
        limits.is_unlimited() && !self.is_limited.load(Ordering::Relaxed)
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

    /// Takes in what the upstream answered to a request that was sent: whether it was accepted, or else for
    /// how long nothing more should come, and what that teaches.
    pub fn answered(&self, kind: Kind, status: StatusCode, headers: &HeaderMap, now: SystemTime) {
        let rate = kind.taught_rate();
        if status != StatusCode::TOO_MANY_REQUESTS {
            if self.learns.load(Ordering::Relaxed) {
                self.count_accepted(rate);
            }
            return;
        }
        let told = retry_after(headers, now);
        if told.is_some() && self.learns.load(Ordering::Relaxed) {
            let times = self.accepted_at(rate);
            self.change(|admission, now| admission.teach(rate, times, now));
        }
        let silence = told.unwrap_or(UNTOLD_SILENCE);
        if !silence.is_zero() {
            self.close_for(silence);
        }
    }

    /// When the upstream has accepted requests of a rate lately.
    pub(super) fn accepted_at(&self, rate: Rate) -> Vec<Instant> {
        self.accepted.lock().lately.times(rate, Instant::now())
    }

    /// Tells how many requests may still be sent from now on, or not.
    pub(super) fn tell_left(&self, is_limited: bool) {
        self.state.lock().left = self.metrics.left(is_limited);
    }

    fn count_accepted(&self, rate: Rate) {
        let mut accepted = self.accepted.lock();
        accepted.lately.count(rate, Instant::now());
        match rate {
            Rate::Reads => accepted.untold.reads += 1,
            _ => accepted.untold.writes += 1,
        }
    }

    /// What the upstream has accepted since this was last taken.
    pub(super) fn take_accepted(&self) -> AcceptedCounts {
        mem::take(&mut self.accepted.lock().untold)
    }

    /// Lets nothing through for so long: the upstream has asked for it.
    pub fn close_for(&self, duration: Duration) {
        tracing::warn!(
            budget = self.name,
            seconds = duration.as_secs_f64(),
            "the upstream asks for silence"
        );
        self.is_limited.store(true, Ordering::Relaxed);
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
        let span = self.allowance.lock().span;
        let mut forgets_at = Instant::now() + span;
        let mut report = Report::new(&self.name, &self.metrics);
        loop {
            let now = Instant::now();
            if now >= forgets_at {
                forgets_at = now + span;
                self.change(|admission, now| admission.forget_idle(now));
            }
            self.change(|admission, now| report.update(admission, now));
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

    /// How many requests of each tenant wait, of those of whom any do.
    #[must_use]
    pub fn waiting_by_tenant(&self) -> Vec<(TenantId, usize)> {
        self.state.lock().admission.waiting_by_tenant()
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
        let is_limited = is_closed || !admission.limits(now).is_unlimited();
        self.is_limited.store(is_limited, Ordering::Relaxed);
        self.metrics.closed.set(i64::from(is_closed));
        self.metrics.queued.set(gauge(admission.waiting()));
        self.metrics.in_flight.set(i64::from(admission.in_flight()));
        if let (Some(metric), Some(left)) = (&state.left, admission.left(now)) {
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

    pub(super) fn count_refused(&self, refused: BudgetRejection) -> BudgetRejection {
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

impl Drop for Budget {
    /// Nobody spends it any more, so nothing is told of it either.
    fn drop(&mut self) {
        self.metrics.remove();
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
