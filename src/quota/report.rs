use tokio::time::Instant;

use super::admission::Admission;
use super::limits::{ByRate, Limits, Rate};
use super::shared::Mode;
use crate::telemetry::BudgetMetrics;

/// What is told of a budget in metrics, and in the log when it changes.
pub(super) struct Report<'a> {
    budget: &'a str,
    metrics: &'a BudgetMetrics,
    learned: ByRate<Option<u32>>,
    sharing: Option<Sharing>,
}

/// How a replica stands with the others.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sharing {
    mode: Mode,
    has_seat: bool,
    is_surplus: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(budget: &'a str, metrics: &'a BudgetMetrics) -> Self {
        Self {
            budget,
            metrics,
            learned: ByRate::default(),
            sharing: None,
        }
    }

    pub(super) fn update<T>(&mut self, admission: &mut Admission<T>, now: Instant) {
        let limits = admission.limits(now);
        self.tell_limits(&limits);
        self.tell_left(admission, &limits, now);
        for rate in Rate::TAUGHT {
            self.tell_learned(rate, admission.learned(rate, now));
        }
        self.tell_sharing(admission, limits.is_unlimited(), now);
    }

    fn tell_limits(&self, limits: &Limits) {
        for rate in Rate::ALL {
            self.metrics.set_limit(rate.name(), limits.of(rate));
        }
        self.metrics.set_limit("concurrent", limits.concurrent);
    }

    fn tell_left<T>(&self, admission: &mut Admission<T>, limits: &Limits, now: Instant) {
        for rate in Rate::ALL {
            let left = admission.left_of(rate, now);
            let left = left.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
            self.metrics.set_left(rate.name(), left);
        }
        let in_flight = admission.in_flight();
        let slots = limits.concurrent.map(|limit| limit.saturating_sub(in_flight));
        self.metrics.set_left("concurrent", slots);
    }

    fn tell_learned(&mut self, rate: Rate, limit: Option<u32>) {
        let (budget, kind) = (self.budget, rate.name());
        let before = std::mem::replace(self.learned.of_mut(rate), limit);
        self.metrics.set_learned_limit(kind, limit);
        match (before, limit) {
            (Some(_), None) => tracing::info!(budget, kind, "the learned limit is over"),
            (before, Some(limit)) if before.is_none_or(|before| limit < before) => {
                tracing::warn!(
                    budget,
                    kind,
                    limit,
                    "the upstream takes no more than this in a minute; it will be tried with more, a tenth a minute"
                );
            }
            _ => {}
        }
    }

    fn tell_sharing<T>(&mut self, admission: &mut Admission<T>, is_unlimited: bool, now: Instant) {
        let Some(replica) = admission.replica() else {
            return;
        };
        let (present, expected) = (replica.present(), replica.limits().replicas);
        let sharing = Sharing {
            mode: replica.mode(now),
            has_seat: replica.seat().is_some(),
            is_surplus: present > expected,
        };
        let is_stopped = sharing.mode == Mode::Stopped && !is_unlimited && replica.is_given_up(now);
        self.metrics.replicas.set(i64::from(present));
        self.metrics.has_seat.set(i64::from(sharing.has_seat));
        self.metrics.stopped.set(i64::from(is_stopped));
        let before = self.sharing.replace(sharing);
        if before == self.sharing {
            return;
        }
        let budget = self.budget;
        match sharing.mode {
            Mode::Together if sharing.is_surplus => tracing::warn!(
                budget,
                present,
                expected,
                has_seat = sharing.has_seat,
                "more replicas spend the budget than quota.replicas says; those without a seat send nothing while \
                 Redis is away"
            ),
            Mode::Together if !sharing.has_seat => tracing::info!(
                budget,
                present,
                expected,
                "no seat is free for this replica yet; without Redis it would send nothing"
            ),
            Mode::Together => {
                tracing::info!(budget, present, expected, "this replica has a seat in the budget")
            }
            Mode::Quiet => tracing::warn!(
                budget,
                "nothing goes up until what went up has run out; then this replica goes by its share"
            ),
            Mode::Alone => tracing::warn!(
                budget,
                minutes = replica.limits().alone.as_secs_f64() / 60.0,
                "this replica goes by its share, for so long at most"
            ),
            Mode::Stopped => tracing::warn!(
                budget,
                has_seat = sharing.has_seat,
                "nothing goes up before Redis answers: only a replica with a seat may go on alone, and not for longer \
                 than quota.alone_for"
            ),
        }
    }
}
