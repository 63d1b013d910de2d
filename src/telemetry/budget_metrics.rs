use prometheus::core::Collector;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::registrar::{Label, Registrar};

/// The metrics of all budgets.
#[derive(Clone, Debug)]
pub(super) struct BudgetsMetrics {
    queued: IntGaugeVec,
    in_flight: IntGaugeVec,
    left: IntGaugeVec,
    closed: IntGaugeVec,
    redis_up: IntGaugeVec,
    limit: IntGaugeVec,
    left_by_limit: IntGaugeVec,
    learned_limit: IntGaugeVec,
    replicas: IntGaugeVec,
    replicas_expected: IntGaugeVec,
    has_seat: IntGaugeVec,
    stopped: IntGaugeVec,
    wait: HistogramVec,
    admitted: IntCounterVec,
    refused: IntCounterVec,
}

/// The metrics of one budget, its label resolved.
#[derive(Clone, Debug)]
pub struct BudgetMetrics {
    /// Requests that wait for their turn.
    pub queued: IntGauge,
    /// Exchanges that have a place; not counted where nothing is limited.
    pub in_flight: IntGauge,
    /// Whether the upstream has asked for silence: 1 or 0.
    pub closed: IntGauge,
    /// Whether Redis answers, where replicas share the budget: 1 or 0.
    pub redis_up: IntGauge,
    /// How many replicas share the budget, as far as Redis has heard of them.
    pub replicas: IntGauge,
    /// How many of them the settings speak of.
    pub replicas_expected: IntGauge,
    /// Whether this replica has one of the seats, so that it may go by its share without Redis: 1 or 0.
    pub has_seat: IntGauge,
    /// Whether nothing goes up because Redis does not answer: 1 or 0.
    pub stopped: IntGauge,
    name: String,
    all: BudgetsMetrics,
    /// How long those who were admitted had waited.
    pub wait: Histogram,
    /// Exchanges that were admitted.
    pub admitted: IntCounter,
    /// Those refused by a limit of their tenant's.
    pub refused_by_tenant: RejectionMetrics,
    /// Those refused by what all tenants share.
    pub refused_by_upstream: RejectionMetrics,
}

/// Refusals by reason.
#[derive(Clone, Debug)]
pub struct RejectionMetrics {
    /// Too many of the tenant waited already.
    pub queue_full: IntCounter,
    /// The turn could not come in time.
    pub too_late: IntCounter,
    /// The turn could have come in time and did not.
    pub waited: IntCounter,
}

/// How a budget stands with the replicas that share it.
#[derive(Clone, Copy, Debug)]
pub struct BudgetSharing {
    /// Whether Redis does not answer.
    pub is_cut_off: bool,
    /// Whether nothing goes up for that reason.
    pub is_stopped: bool,
    /// Whether this replica may go by its share without Redis.
    pub has_seat: bool,
    /// How many replicas there are.
    pub replicas: i64,
}

/// How a budget stands now.
#[derive(Clone, Debug, Default)]
pub struct BudgetTraffic {
    /// What may go up, by limit, of those that there are.
    pub limits: Vec<(&'static str, i64)>,
    /// What a 429 has taught, by kind.
    pub learned: Vec<(&'static str, i64)>,
    /// What is left of each limit.
    pub left: Vec<(&'static str, i64)>,
    /// Slots that are taken.
    pub in_flight: i64,
    /// Requests that wait.
    pub queued: i64,
    /// Whether the upstream has asked for silence.
    pub is_paused: bool,
    /// Requests that were admitted.
    pub admitted: u64,
    /// Requests that were refused, whatever for.
    pub refused: u64,
}

impl BudgetMetrics {
    /// Tells what may go up by a limit; none where it limits nothing.
    pub fn set_limit(&self, limit: &str, value: Option<u32>) {
        set_or_remove(&self.all.limit, &[&self.name, limit], value);
    }

    /// Tells what is left of a limit; none where it limits nothing.
    pub fn set_left(&self, limit: &str, value: Option<u32>) {
        set_or_remove(&self.all.left_by_limit, &[&self.name, limit], value);
    }

    /// Tells the limit that the upstream has taught for a kind.
    pub fn set_learned_limit(&self, kind: &str, value: Option<u32>) {
        set_or_remove(&self.all.learned_limit, &[&self.name, kind], value);
    }

    /// How many requests may still be sent in this window, where that is limited; else that is not told.
    #[must_use]
    pub fn left(&self, is_limited: bool) -> Option<IntGauge> {
        if is_limited {
            return Some(self.all.left.with_label_values(&[&self.name]));
        }
        drop(self.all.left.remove_label_values(&[&self.name]));
        None
    }

    /// Tells nothing of the budget any more.
    pub fn remove(&self) {
        let all = &self.all;
        let label = [self.name.as_str()];
        // It is no fault if one was not there.
        for gauges in [
            &all.queued,
            &all.in_flight,
            &all.left,
            &all.closed,
            &all.redis_up,
            &all.replicas,
            &all.replicas_expected,
            &all.has_seat,
            &all.stopped,
        ] {
            drop(gauges.remove_label_values(&label));
        }
        for limit in LIMITS {
            drop(all.limit.remove_label_values(&[&self.name, limit]));
            drop(all.left_by_limit.remove_label_values(&[&self.name, limit]));
            drop(all.learned_limit.remove_label_values(&[&self.name, limit]));
        }
        drop(all.wait.remove_label_values(&label));
        drop(all.admitted.remove_label_values(&label));
        for limit in LIMITED_BY {
            for reason in REASONS {
                drop(all.refused.remove_label_values(&[&self.name, limit, reason]));
            }
        }
    }
}

/// What there is for a budget, by limit. Who asks for one by its labels makes it, so those that are there are looked for.
fn by_limit(gauges: &IntGaugeVec, budget: &str) -> Vec<(&'static str, i64)> {
    let families = gauges.collect();
    let there = |limit: &str| {
        let mut metrics = families.iter().flat_map(|family| family.get_metric());
        metrics.any(|metric| {
            let mut labels = metric.get_label().iter();
            labels.all(|label| label.value() == if label.name() == BUDGET.0 { budget } else { limit })
        })
    };
    let told = LIMITS.into_iter().filter(|limit| there(limit));
    told.map(|limit| (limit, gauges.with_label_values(&[budget, limit]).get()))
        .collect()
}

fn set_or_remove(gauges: &IntGaugeVec, labels: &[&str], value: Option<u32>) {
    match value {
        Some(value) => gauges.with_label_values(labels).set(i64::from(value)),
        // It is no fault if it was not there.
        None => drop(gauges.remove_label_values(labels)),
    }
}

const BUDGET: Label = ("budget", "its name in the settings");
const LIMIT: Label = (
    "limit",
    "`requests`, `creates`, `writes`, `reads` in a window, or `concurrent`",
);
/// The limits and the kinds that are told of a budget, and what refuses requests of it for which reasons.
const LIMITS: [&str; 5] = ["requests", "creates", "writes", "reads", "concurrent"];
const LIMITED_BY: [&str; 2] = ["tenant", "upstream"];
const REASONS: [&str; 3] = ["queue_full", "too_late", "waited"];

/// From what nobody notices to the longest wait.
const WAITS: [f64; 12] = [0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0];

impl BudgetsMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            queued: add.gauges(
                "envgate_budget_queued",
                "Requests that wait for their turn.",
                &[BUDGET],
            )?,
            in_flight: add.gauges(
                "envgate_budget_in_flight",
                "Slots in flight that are taken; not counted where nothing is limited.",
                &[BUDGET],
            )?,
            left: add.gauges(
                "envgate_budget_remaining",
                "Upstream requests that may still be sent in this window, as far as this gateway knows; absent where \
                 nothing limits them.",
                &[BUDGET],
            )?,
            closed: add.gauges(
                "envgate_budget_paused",
                "1 while the upstream has asked for silence, else 0.",
                &[BUDGET],
            )?,
            redis_up: add.gauges(
                "envgate_budget_redis_up",
                "0 while replicas share the budget and Redis does not answer, else 1.",
                &[BUDGET],
            )?,
            limit: add.gauges(
                "envgate_budget_limit",
                "What may go up now, by limit; absent where there is none.",
                &[BUDGET, LIMIT],
            )?,
            left_by_limit: add.gauges(
                "envgate_budget_left",
                "What of a limit is left, looked at once a second; absent where there is none.",
                &[BUDGET, LIMIT],
            )?,
            learned_limit: add.gauges(
                "envgate_budget_learned_limit",
                "The limit that a 429 of the upstream has taught, by kind; absent where there is none.",
                &[BUDGET, ("kind", "`reads` or `writes`")],
            )?,
            replicas: add.gauges(
                "envgate_budget_replicas",
                "How many replicas Redis has heard of lately; 1 where the budget is not shared.",
                &[BUDGET],
            )?,
            replicas_expected: add.gauges(
                "envgate_budget_replicas_expected",
                "How many there are at most by the settings, quota.replicas.",
                &[BUDGET],
            )?,
            has_seat: add.gauges(
                "envgate_budget_seat",
                "1 if this replica may go by its share while Redis is away, or the budget is not shared; else 0.",
                &[BUDGET],
            )?,
            stopped: add.gauges(
                "envgate_budget_stopped",
                "1 while nothing goes up because Redis does not answer, else 0.",
                &[BUDGET],
            )?,
            wait: add.histograms(
                "envgate_budget_wait_seconds",
                "How long requests that were admitted had waited for their turn.",
                &WAITS,
                &[BUDGET],
            )?,
            admitted: add.counters(
                "envgate_budget_admitted_total",
                "Requests that were admitted.",
                &[BUDGET],
            )?,
            refused: add.counters(
                "envgate_budget_refused_total",
                "Requests that were refused, by the limit in the way and the reason.",
                &[
                    BUDGET,
                    ("limit", "whose it is: `tenant` or `upstream`"),
                    (
                        "reason",
                        "`queue_full`, too many of the tenant waited; `too_late`, the turn could not come in time; \
                         `waited`, it did not come in time",
                    ),
                ],
            )?,
        })
    }

    pub(super) fn sharing(&self, budget: &str) -> BudgetSharing {
        let value = |gauges: &IntGaugeVec| {
            let gauge = gauges.get_metric_with_label_values(&[budget]);
            gauge.map_or(0, |gauge| gauge.get())
        };
        BudgetSharing {
            is_cut_off: value(&self.redis_up) == 0,
            is_stopped: value(&self.stopped) == 1,
            has_seat: value(&self.has_seat) == 1,
            replicas: value(&self.replicas),
        }
    }

    /// How a budget stands that there is.
    pub(super) fn traffic(&self, budget: &str) -> BudgetTraffic {
        let label = [budget];
        let refusals = LIMITED_BY
            .into_iter()
            .flat_map(|limit| REASONS.map(|reason| [budget, limit, reason]));
        BudgetTraffic {
            limits: by_limit(&self.limit, budget),
            learned: by_limit(&self.learned_limit, budget),
            left: by_limit(&self.left_by_limit, budget),
            in_flight: self.in_flight.with_label_values(&label).get(),
            queued: self.queued.with_label_values(&label).get(),
            is_paused: self.closed.with_label_values(&label).get() != 0,
            admitted: self.admitted.with_label_values(&label).get(),
            refused: refusals
                .map(|labels| self.refused.with_label_values(&labels).get())
                .sum(),
        }
    }

    pub(super) fn of(&self, budget: &str) -> BudgetMetrics {
        let label = [budget];
        let refused = |limit| {
            let by = |reason| self.refused.with_label_values(&[budget, limit, reason]);
            RejectionMetrics {
                queue_full: by("queue_full"),
                too_late: by("too_late"),
                waited: by("waited"),
            }
        };
        let gauge = |gauges: &IntGaugeVec, value| {
            let gauge = gauges.with_label_values(&label);
            gauge.set(value);
            gauge
        };
        BudgetMetrics {
            queued: self.queued.with_label_values(&label),
            in_flight: self.in_flight.with_label_values(&label),
            closed: self.closed.with_label_values(&label),
            redis_up: gauge(&self.redis_up, 1),
            replicas: gauge(&self.replicas, 1),
            replicas_expected: gauge(&self.replicas_expected, 1),
            has_seat: gauge(&self.has_seat, 1),
            stopped: gauge(&self.stopped, 0),
            name: budget.to_owned(),
            all: self.clone(),
            wait: self.wait.with_label_values(&label),
            admitted: self.admitted.with_label_values(&label),
            refused_by_tenant: refused("tenant"),
            refused_by_upstream: refused("upstream"),
        }
    }
}
