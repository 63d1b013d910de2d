//! One process follows another, and the budget goes over from one to the other: what was spent counts on, and
//! nothing may be spent by both.
//!
//! The one that goes keeps a part of each limit: what is reserved or in flight, what may follow, and until it has
//! settled half of what is free. To the other that part is taken, and all else is its own. As requests of the first
//! come to their end it gives up more and more, and when it is gone the rest counts as sent at that moment. So in no
//! window the two together send more than one may.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::budget::Budget;
use super::capacity::handover::Spent;
use super::learning::Learned;
use super::limits::{ByRate, Limits, Rate};
use crate::tenancy::TenantId;

/// How long requests may still come to the process that goes, on connections that it has.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Of how many requests the tenants' own limits are told: as many as one message has room for.
const MOST_OF_TENANTS: usize = 500_000;

/// What a process tells the one that follows it of a budget. All times are ages in microseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SpentBudget {
    /// The name that the settings have for it.
    pub budget: String,
    rates: Vec<SpentRate>,
    /// For how long the upstream wants silence.
    silence: Option<u64>,
    kept: Limits,
    /// What counts of tenants' own limits, by their ids.
    tenants: Vec<(String, Vec<u64>)>,
}

/// What a process still has of a budget for itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct KeptShare {
    /// The name that the settings have for it.
    pub budget: String,
    kept: Limits,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct SpentRate {
    rate: String,
    sent: Vec<u64>,
    learned: Option<LearnedLimit>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct LearnedLimit {
    limit: u32,
    taught: u32,
    raised: u64,
}

/// A budget that goes over to another process. Dropped before that has begun to use it, all of it is this one's
/// again.
#[derive(Debug)]
pub struct BudgetHandover {
    budget: Arc<Budget>,
    spent: Mutex<Option<Spent>>,
    since: Instant,
}

impl BudgetHandover {
    /// Begins to hand a budget over; none where replicas share it, which tell each other all.
    #[must_use]
    pub fn begin(budget: &Arc<Budget>) -> Option<(Self, SpentBudget)> {
        let (spent, tenants, now) = budget.change(|admission, now| {
            let waiting = admission.waiting();
            let spent = admission.capacity().hand_over(waiting, now);
            (spent, admission.tenants().sent_by_tenants(now), now)
        });
        let spent = spent?;
        let told = SpentBudget::new(budget.name(), &spent, tenants, now);
        let handover = Self {
            budget: Arc::clone(budget),
            spent: Mutex::new(Some(spent)),
            since: now,
        };
        Some((handover, told))
    }

    /// The other process uses it from now on.
    pub fn confirm(&self) {
        self.spent.lock().take();
    }

    /// Gives up what is not needed any more, and tells what is still kept: of what is free nothing, once all requests
    /// are finished.
    #[must_use]
    pub fn kept(&self, is_finished: bool) -> KeptShare {
        let kept = self.budget.change(|admission, now| {
            if !is_finished && now < self.since + SETTLED_AFTER {
                return admission.capacity().shrink(usize::MAX, usize::MAX, now);
            }
            let waiting = admission.waiting();
            let in_flight = usize::try_from(admission.in_flight()).unwrap_or(usize::MAX);
            let needed = in_flight.saturating_add(waiting).saturating_mul(2);
            admission.capacity().shrink(needed, waiting, now)
        });
        KeptShare {
            budget: self.budget.name().to_owned(),
            kept: kept.unwrap_or_default(),
        }
    }
}

impl Drop for BudgetHandover {
    fn drop(&mut self) {
        if let Some(spent) = self.spent.lock().take() {
            self.budget
                .change(|admission, now| admission.capacity().take_back(spent, now));
        }
    }
}

impl Budget {
    /// Takes the budget over from another process; nothing must have been sent yet.
    pub fn take_over(&self, spent: &SpentBudget) {
        self.change(|admission, now| {
            admission.capacity().take_over(spent.at(now), now);
            admission.tenants().take_over(spent.tenants_at(now));
        });
    }

    /// Takes in what that process still keeps.
    pub fn leave_elsewhere(&self, share: &KeptShare) {
        self.change(|admission, _| admission.capacity().leave_elsewhere(&share.kept));
    }

    /// That process is gone.
    pub fn end_elsewhere(&self) {
        self.change(|admission, now| admission.capacity().end_elsewhere(now));
    }
}

impl SpentBudget {
    fn new(budget: &str, spent: &Spent, mut tenants: Vec<(TenantId, Vec<Instant>)>, now: Instant) -> Self {
        let count: usize = tenants.iter().map(|(_, sent)| sent.len()).sum();
        if count > MOST_OF_TENANTS {
            tracing::warn!(
                budget,
                count,
                "what tenants have sent is too much to tell, and counts no more"
            );
            tenants.clear();
        }
        let age = |at: Instant| micros(now.saturating_duration_since(at));
        let learned = |learned: Learned| LearnedLimit {
            limit: learned.limit,
            taught: learned.taught,
            raised: age(learned.raised_at),
        };
        let rates = Rate::ALL.map(|rate| SpentRate {
            rate: rate.name().to_owned(),
            sent: spent.sent.of(rate).iter().copied().map(age).collect(),
            learned: spent.learned.of(rate).map(learned),
        });
        Self {
            budget: budget.to_owned(),
            rates: rates.into(),
            silence: spent
                .closed_until
                .map(|until| micros(until.saturating_duration_since(now))),
            kept: spent.kept,
            tenants: tenants
                .into_iter()
                .map(|(TenantId(tenant), sent)| (tenant, sent.into_iter().map(age).collect()))
                .collect(),
        }
    }

    fn tenants_at(&self, now: Instant) -> Vec<(TenantId, Vec<Instant>)> {
        let tenants = self.tenants.iter();
        tenants
            .map(|(tenant, ages)| {
                (
                    TenantId(tenant.clone()),
                    ages.iter().map(|age| ago(*age, now)).collect(),
                )
            })
            .collect()
    }

    fn at(&self, now: Instant) -> Spent {
        let at = |age: u64| ago(age, now);
        let of = |rate: Rate| self.rates.iter().find(|told| told.rate == rate.name());
        Spent {
            sent: ByRate::new(|rate| {
                let sent = of(rate).map_or(&[][..], |told| &told.sent);
                sent.iter().copied().map(at).collect()
            }),
            kept: self.kept,
            learned: ByRate::new(|rate| {
                let learned = of(rate)?.learned?;
                Some(Learned {
                    limit: learned.limit,
                    taught: learned.taught,
                    raised_at: at(learned.raised),
                })
            }),
            closed_until: self.silence.map(|left| now + Duration::from_micros(left)),
        }
    }
}

/// Where the machine has not run for as long, nothing was sent so long ago.
fn ago(age: u64, now: Instant) -> Instant {
    now.checked_sub(Duration::from_micros(age)).unwrap_or(now)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
