//! Keeps requests away from an upstream that fails, so that neither tenants nor it wait for what will not
//! come.
//!
//! Closed, it lets all requests pass, and counts failures in a row. Where they tell of the upstream and not
//! of one tenant's requests alone, it opens, and refuses all for a while. Then it is half-open: one real
//! request passes and tests the upstream, the others are still refused. Its success closes the circuit, its
//! failure opens it for longer.
//!
//! Where the word of somebody else is needed, it asks for a probe. It cannot send one: that costs a token.

mod states;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use self::states::Sender;
pub(super) use self::states::{CircuitOpen, Health};
use self::states::{NOT_CLOSED, State, States};
use crate::config;
use crate::telemetry::UpstreamMetrics;

/// The circuit of one upstream, whoever sends.
pub(super) struct Circuit {
    states: Mutex<States>,
    /// What most requests need to know, without the lock: the generation, where the circuit is closed and
    /// there is no failure to forget; else [`NOT_CLOSED`].
    closed_generation: AtomicU64,
    probe_wanted: Notify,
}

/// Permission to send one request. Dropped without a word, it makes way for another test.
pub(super) struct CircuitPermit<'a> {
    circuit: &'a Circuit,
    metrics: &'a UpstreamMetrics,
    sender: Sender<'a>,
    generation: u64,
    is_reported: bool,
}

impl Circuit {
    pub(super) fn new(settings: config::Circuit) -> Self {
        let states = States::new(settings);
        Self {
            closed_generation: AtomicU64::new(states.closed_generation()),
            states: Mutex::new(states),
            probe_wanted: Notify::new(),
        }
    }

    /// Goes by other settings from now on, in the state that it is in.
    pub(super) fn set(&self, settings: config::Circuit, metrics: &UpstreamMetrics) {
        let stage = self.update(metrics, |states| {
            states.set(settings);
            stage(&states.state)
        });
        // Of another upstream it may have told something else.
        metrics.circuit_state.set(stage);
    }

    /// Asks for permission to send one request.
    pub(super) fn admit<'a>(
        &'a self,
        sender: Sender<'a>,
        metrics: &'a UpstreamMetrics,
    ) -> Result<CircuitPermit<'a>, CircuitOpen> {
        let generation = match self.closed_generation.load(Ordering::Acquire) {
            NOT_CLOSED => self
                .update(metrics, |states| states.admit(sender, Instant::now()))
                .inspect_err(|_| metrics.circuit_refused.inc())?,
            generation => generation,
        };
        Ok(CircuitPermit {
            circuit: self,
            metrics,
            sender,
            generation,
            is_reported: false,
        })
    }

    /// How long it is open yet, if it is. One that is half-open has a request that tests, or wants one.
    pub(super) fn check(&self, metrics: &UpstreamMetrics) -> Result<(), CircuitOpen> {
        if self.closed_generation.load(Ordering::Acquire) != NOT_CLOSED {
            return Ok(());
        }
        let retry_after = match self.states.lock().state {
            State::Open { until, .. } => until.checked_duration_since(Instant::now()),
            State::Closed(_) | State::HalfOpen { .. } => None,
        };
        let Some(retry_after) = retry_after else {
            return Ok(());
        };
        metrics.circuit_refused.inc();
        Err(CircuitOpen { retry_after })
    }

    /// Waits until the circuit wants to know from a request of our own whether the upstream answers: once a
    /// pause at most.
    pub(super) async fn probe_wanted(&self) {
        self.probe_wanted.notified().await;
    }

    fn record(&self, generation: u64, sender: Sender<'_>, health: Option<Health>, metrics: &UpstreamMetrics) {
        let is_news =
            health != Some(Health::Well) || self.closed_generation.load(Ordering::Acquire) != generation;
        if is_news {
            self.update(metrics, |states| {
                states.record(generation, sender, health, Instant::now())
            });
        }
    }

    /// Asks or tells the state machine something, and tells the operator what came of it.
    fn update<T>(&self, metrics: &UpstreamMetrics, change: impl FnOnce(&mut States) -> T) -> T {
        let mut states = self.states.lock();
        let before = stage(&states.state);
        let outcome = change(&mut states);
        self.closed_generation
            .store(states.closed_generation(), Ordering::Release);
        let after = stage(&states.state);
        if states.take_probe() {
            self.probe_wanted.notify_one();
        }
        if before != after {
            metrics.circuit_state.set(after);
        }
        match (before, &states.state) {
            (CLOSED | HALF_OPEN, State::Open { until, .. }) => {
                metrics.circuit_opened.inc();
                let pause = until.saturating_duration_since(Instant::now());
                tracing::warn!(?pause, "the upstream keeps failing; nothing is sent for a while");
            }
            (HALF_OPEN, State::Closed(_)) => tracing::info!("the upstream answers again"),
            _ => {}
        }
        outcome
    }
}

/// The values of the metric.
const CLOSED: i64 = 0;
const HALF_OPEN: i64 = 1;
const OPEN: i64 = 2;

const fn stage(state: &State) -> i64 {
    match state {
        State::Closed(_) => CLOSED,
        State::HalfOpen { .. } => HALF_OPEN,
        State::Open { .. } => OPEN,
    }
}

impl CircuitPermit<'_> {
    /// Tells how the request ended.
    pub(super) fn report(mut self, health: Health) {
        self.is_reported = true;
        self.circuit
            .record(self.generation, self.sender, Some(health), self.metrics);
    }
}

impl Drop for CircuitPermit<'_> {
    fn drop(&mut self) {
        if !self.is_reported {
            self.circuit
                .record(self.generation, self.sender, None, self.metrics);
        }
    }
}

#[cfg(test)]
mod tests;
