use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use crate::config;
use crate::tenancy::TenantId;

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender<'a> {
    /// A tenant.
    Tenant(&'a TenantId),
    /// The gateway itself, to see whether the upstream answers.
    Probe,
}

/// How a request ended, as far as it tells whether the upstream is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Health {
    /// It answered, whatever it answered.
    Well,
    /// It did not, or something before it answered in its place.
    Failing,
    /// No connection to it could be made.
    Unreachable,
}

/// The circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) struct CircuitOpen {
    /// How long until a request may try again.
    pub(in crate::upstream) retry_after: Duration,
}

/// The state machine, on a clock that is handed in.
#[derive(Debug)]
pub(super) struct States {
    settings: config::Circuit,
    pub(super) state: State,
    /// Raised with each change of state. What a request has to tell counts only in the generation that it
    /// began in: an answer to a request from before says nothing about now, and of a half-open generation
    /// there is but one.
    pub(super) generation: u64,
    /// When the last probe was asked for: there is one a pause at most.
    probed_at: Option<Instant>,
    is_probe_wanted: bool,
    jitter: Jitter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed(Failures),
    /// `is_trying` while there is a request on its way that tests the upstream.
    HalfOpen {
        is_trying: bool,
        opening: Opening,
    },
    Open {
        until: Instant,
        opening: Opening,
    },
}

/// What failed since the last answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    in_a_row: usize,
    /// Those in a row that were failures to connect, whoever sent.
    unreachable_in_a_row: usize,
    by_tenant: Vec<(TenantId, usize)>,
}

/// An open circuit, until it closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Opening {
    /// The tenants whose own failures opened it. Nobody else has to fail for them again and again.
    openers: Vec<TenantId>,
    failed_tests: u32,
    /// Whose request was the last test.
    last_tester: Option<TenantId>,
}

/// No generation has this number.
pub(super) const NOT_CLOSED: u64 = 0;

/// How long whoever comes while the upstream is being tested should wait: that is soon settled.
pub(super) const WHILE_TRYING: Duration = Duration::from_secs(1);
/// Pauses double with each test that fails, up to this, or to the first pause where that is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How many tenants' failures are told apart; two are enough to open it.
const TENANTS: usize = 64;

impl<'a> Sender<'a> {
    const fn tenant(self) -> Option<&'a TenantId> {
        match self {
            Self::Tenant(tenant) => Some(tenant),
            Self::Probe => None,
        }
    }
}

impl States {
    pub(super) fn new(settings: config::Circuit) -> Self {
        Self {
            settings,
            state: State::Closed(Failures::default()),
            generation: NOT_CLOSED + 1,
            probed_at: None,
            is_probe_wanted: false,
            jitter: Jitter(RandomState::new().build_hasher().finish()),
        }
    }

    /// Goes by other settings from now on.
    pub(super) const fn set(&mut self, settings: config::Circuit) {
        self.settings = settings;
    }

    /// Whether a request may be sent now; if so, its generation.
    pub(super) fn admit(&mut self, sender: Sender<'_>, now: Instant) -> Result<u64, CircuitOpen> {
        let opening = match &mut self.state {
            State::Closed(_) => return Ok(self.generation),
            State::HalfOpen { is_trying: true, .. } => {
                return Err(CircuitOpen {
                    retry_after: WHILE_TRYING,
                });
            }
            State::Open { until, .. } if now < *until => {
                return Err(CircuitOpen {
                    retry_after: *until - now,
                });
            }
            State::HalfOpen { opening, .. } | State::Open { opening, .. } => opening,
        };
        let tester = sender.tenant();
        if tester.is_some_and(|tester| opening.has_had_its_test(tester)) {
            // What it sends may fail while all else would not: the next test is somebody else's, or our own.
            self.want_probe(now);
            return Err(CircuitOpen {
                retry_after: WHILE_TRYING,
            });
        }
        opening.last_tester = tester.cloned();
        let opening = std::mem::take(opening);
        self.enter(State::HalfOpen {
            is_trying: true,
            opening,
        });
        Ok(self.generation)
    }

    /// Records how a request of a generation ended; none where it was given up.
    pub(super) fn record(
        &mut self,
        generation: u64,
        sender: Sender<'_>,
        health: Option<Health>,
        now: Instant,
    ) {
        if generation != self.generation {
            return;
        }
        match (&mut self.state, health) {
            (State::Closed(failures), Some(Health::Well)) => *failures = Failures::default(),
            (State::Closed(failures), Some(health)) => {
                failures.add(sender.tenant(), health);
                self.judge_failures(sender, now);
            }
            (State::HalfOpen { .. }, Some(Health::Well)) => self.enter(State::Closed(Failures::default())),
            (State::HalfOpen { opening, .. }, Some(_)) => {
                opening.failed_tests = opening.failed_tests.saturating_add(1);
                let opening = std::mem::take(opening);
                self.open(opening, now);
            }
            (State::HalfOpen { opening, .. }, None) => {
                let opening = std::mem::take(opening);
                self.enter(State::HalfOpen {
                    is_trying: false,
                    opening,
                });
            }
            (State::Closed(_), None) | (State::Open { .. }, _) => {}
        }
    }

    /// Whether a probe is wanted, which whoever hears of it has to send.
    pub(super) const fn take_probe(&mut self) -> bool {
        std::mem::replace(&mut self.is_probe_wanted, false)
    }

    pub(super) fn closed_generation(&self) -> u64 {
        match &self.state {
            State::Closed(failures) if failures.in_a_row == 0 => self.generation,
            _ => NOT_CLOSED,
        }
    }

    /// What one tenant's requests meet may be theirs alone, so it takes a second witness: another tenant, or
    /// a request of our own. Where no connection can be made there is nothing to be said for the upstream.
    fn judge_failures(&mut self, sender: Sender<'_>, now: Instant) {
        let State::Closed(failures) = &mut self.state else {
            return;
        };
        let bound = self.settings.failures;
        if bound == 0 || failures.in_a_row < bound {
            return;
        }
        let openers = failures.tenants_at(bound);
        let is_certain =
            openers.len() > 1 || failures.unreachable_in_a_row >= bound || sender == Sender::Probe;
        if is_certain {
            let opening = Opening {
                openers,
                ..Opening::default()
            };
            self.open(opening, now);
        } else {
            self.want_probe(now);
        }
    }

    fn want_probe(&mut self, now: Instant) {
        let is_due = self
            .probed_at
            .is_none_or(|at| now.saturating_duration_since(at) >= self.settings.pause);
        if is_due {
            self.probed_at = Some(now);
            self.is_probe_wanted = true;
        }
    }

    fn open(&mut self, opening: Opening, now: Instant) {
        let first = self.settings.pause;
        let doublings = 1_u32.checked_shl(opening.failed_tests).unwrap_or(u32::MAX);
        let pause = first.saturating_mul(doublings).min(LONGEST_PAUSE.max(first));
        let until = now + pause + self.jitter.up_to(pause / 4);
        self.enter(State::Open { until, opening });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

impl Failures {
    fn add(&mut self, tenant: Option<&TenantId>, health: Health) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if health == Health::Unreachable {
            self.unreachable_in_a_row = self.unreachable_in_a_row.saturating_add(1);
            return;
        }
        self.unreachable_in_a_row = 0;
        let Some(tenant) = tenant else { return };
        if let Some((_, count)) = self.by_tenant.iter_mut().find(|(known, _)| known == tenant) {
            *count = count.saturating_add(1);
        } else if self.by_tenant.len() < TENANTS {
            self.by_tenant.push((tenant.clone(), 1));
        }
    }

    /// The tenants with so many failures.
    fn tenants_at(&self, bound: usize) -> Vec<TenantId> {
        let tenants = self.by_tenant.iter().filter(|(_, count)| *count >= bound);
        tenants.map(|(tenant, _)| tenant.clone()).collect()
    }
}

impl Opening {
    /// Whether a tenant opened the circuit, and was the last to test it.
    fn has_had_its_test(&self, tenant: &TenantId) -> bool {
        self.openers.contains(tenant) && self.last_tester.as_ref() == Some(tenant)
    }
}

/// Random enough that gateways that saw the same outage do not come back in the same moment (splitmix64).
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    fn up_to(&mut self, longest: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(mixed % millis.saturating_add(1))
    }
}

#[cfg(test)]
mod tests;
