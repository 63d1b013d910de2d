use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config;
use crate::telemetry::UpstreamMetrics;

/// Keeps requests away from an upstream that fails, so that neither tenants nor it wait for what will not
/// come.
///
/// Closed, it lets all requests pass, and counts failures in a row. After so many it opens, and refuses all
/// for a while. Then it is half-open: one real request passes and tries the upstream, the others are still
/// refused. Its success closes the circuit, its failure opens it again.
pub(super) struct Circuit {
    states: Mutex<States>,
    /// What most requests need to know, without the lock: the generation, where the circuit is closed and
    /// there is no failure to forget; else [`NOT_CLOSED`].
    closed_generation: AtomicU64,
}

/// No generation has this number.
const NOT_CLOSED: u64 = 0;

/// The state machine, on a clock that is handed in.
#[derive(Debug)]
struct States {
    settings: config::Circuit,
    state: State,
    /// Raised with each change of state. What a request has to tell counts only in the generation that it
    /// began in: an answer to a request from before says nothing about now, and of a half-open generation
    /// there is but one.
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: usize,
    },
    /// `is_trying` while there is a request on its way that tries the upstream.
    HalfOpen {
        is_trying: bool,
    },
    Open {
        until: Instant,
    },
}

/// How a request ended, as far as it tells whether the upstream is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered, whatever it answered.
    Well,
    /// It did not, or something before it answered in its place.
    Failing,
}

/// The circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CircuitOpen {
    /// How long until a request may try again.
    pub(super) retry_after: Duration,
}

/// Permission to send one request. Dropped without a word, it makes way for another try.
pub(super) struct CircuitPermit<'a> {
    circuit: &'a Circuit,
    metrics: &'a UpstreamMetrics,
    generation: u64,
    is_reported: bool,
}

/// How long whoever comes while the upstream is being tried should wait: that is soon settled.
const WHILE_TRYING: Duration = Duration::from_secs(1);

impl States {
    const fn new(settings: config::Circuit) -> Self {
        Self {
            settings,
            state: State::Closed { failures: 0 },
            generation: NOT_CLOSED + 1,
        }
    }

    /// Whether a request may be sent now; if so, its generation.
    fn admit(&mut self, now: Instant) -> Result<u64, CircuitOpen> {
        match self.state {
            State::Closed { .. } => Ok(self.generation),
            State::HalfOpen { is_trying: true } => Err(CircuitOpen {
                retry_after: WHILE_TRYING,
            }),
            State::Open { until } if now < until => Err(CircuitOpen {
                retry_after: until - now,
            }),
            State::HalfOpen { is_trying: false } | State::Open { .. } => {
                self.enter(State::HalfOpen { is_trying: true });
                Ok(self.generation)
            }
        }
    }

    /// Records how a request of a generation ended; none where it was given up.
    fn record(&mut self, generation: u64, health: Option<Health>, now: Instant) {
        if generation != self.generation {
            return;
        }
        match (self.state, health) {
            (State::Closed { failures }, Some(Health::Failing)) => {
                let failures = failures.saturating_add(1);
                if failures == self.settings.failures {
                    self.open(now);
                } else {
                    self.state = State::Closed { failures };
                }
            }
            (State::Closed { .. }, Some(Health::Well)) => self.state = State::Closed { failures: 0 },
            (State::HalfOpen { .. }, Some(Health::Well)) => self.enter(State::Closed { failures: 0 }),
            (State::HalfOpen { .. }, Some(Health::Failing)) => self.open(now),
            (State::HalfOpen { .. }, None) => self.enter(State::HalfOpen { is_trying: false }),
            (State::Closed { .. }, None) | (State::Open { .. }, _) => {}
        }
    }

    fn open(&mut self, now: Instant) {
        let until = now + self.settings.pause;
        self.enter(State::Open { until });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }

    const fn closed_generation(&self) -> u64 {
        match self.state {
            State::Closed { failures: 0 } => self.generation,
            _ => NOT_CLOSED,
        }
    }
}

impl Circuit {
    pub(super) const fn new(settings: config::Circuit) -> Self {
        let states = States::new(settings);
        Self {
            closed_generation: AtomicU64::new(states.closed_generation()),
            states: Mutex::new(states),
        }
    }

    /// Asks for permission to send one request.
    pub(super) fn admit<'a>(
        &'a self,
        metrics: &'a UpstreamMetrics,
    ) -> Result<CircuitPermit<'a>, CircuitOpen> {
        let generation = match self.closed_generation.load(Ordering::Acquire) {
            NOT_CLOSED => self
                .changing(metrics, |states| states.admit(Instant::now()))
                .inspect_err(|_| metrics.circuit_refused.inc())?,
            generation => generation,
        };
        Ok(CircuitPermit {
            circuit: self,
            metrics,
            generation,
            is_reported: false,
        })
    }

    /// How long it is open yet, if it is. One that is half-open has a request that tries, or wants one.
    pub(super) fn is_open(&self, metrics: &UpstreamMetrics) -> Option<CircuitOpen> {
        if self.closed_generation.load(Ordering::Acquire) != NOT_CLOSED {
            return None;
        }
        let retry_after = match self.states.lock().state {
            State::Open { until } => until.checked_duration_since(Instant::now())?,
            State::Closed { .. } | State::HalfOpen { .. } => return None,
        };
        metrics.circuit_refused.inc();
        Some(CircuitOpen { retry_after })
    }

    fn record(&self, generation: u64, health: Option<Health>, metrics: &UpstreamMetrics) {
        let is_news =
            health != Some(Health::Well) || self.closed_generation.load(Ordering::Acquire) != generation;
        if is_news {
            self.changing(metrics, |states| {
                states.record(generation, health, Instant::now())
            });
        }
    }

    /// Asks or tells the state machine something, and tells the operator what came of it.
    fn changing<T>(&self, metrics: &UpstreamMetrics, change: impl FnOnce(&mut States) -> T) -> T {
        let mut states = self.states.lock();
        let before = states.state;
        let outcome = change(&mut states);
        self.closed_generation
            .store(states.closed_generation(), Ordering::Release);
        match (before, states.state) {
            (State::Closed { .. } | State::HalfOpen { .. }, State::Open { .. }) => {
                metrics.circuit_state.set(2);
                metrics.circuit_opened.inc();
                let (failures, pause) = (states.settings.failures, states.settings.pause);
                tracing::warn!(
                    failures,
                    ?pause,
                    "the upstream keeps failing; nothing is sent for a while"
                );
            }
            (State::Open { .. }, State::HalfOpen { .. }) => metrics.circuit_state.set(1),
            (State::HalfOpen { .. }, State::Closed { .. }) => {
                metrics.circuit_state.set(0);
                tracing::info!("the upstream answers again");
            }
            _ => {}
        }
        outcome
    }
}

impl CircuitPermit<'_> {
    /// Tells how the request ended.
    pub(super) fn report(mut self, health: Health) {
        self.is_reported = true;
        self.circuit.record(self.generation, Some(health), self.metrics);
    }
}

impl Drop for CircuitPermit<'_> {
    fn drop(&mut self) {
        if !self.is_reported {
            self.circuit.record(self.generation, None, self.metrics);
        }
    }
}

#[cfg(test)]
mod tests;
