use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::metrics::Registrar;

/// The metrics of all budgets.
#[derive(Debug)]
pub(super) struct BudgetsMetrics {
    queued: IntGaugeVec,
    in_flight: IntGaugeVec,
    left: IntGaugeVec,
    closed: IntGaugeVec,
    redis_up: IntGaugeVec,
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
    /// Upstream requests that may still be sent in this window; none where there is no limit.
    pub left: Option<IntGauge>,
    /// Whether the upstream has asked for silence: 1 or 0.
    pub closed: IntGauge,
    /// Whether Redis answers, where replicas share the budget: 1 or 0.
    pub redis_up: IntGauge,
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

const BUDGET: &str = "budget";

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
                "Exchanges that have a place in flight; not counted where nothing is limited.",
                &[BUDGET],
            )?,
            left: add.gauges(
                "envgate_budget_left",
                "Upstream requests that may still be sent in this window.",
                &[BUDGET],
            )?,
            closed: add.gauges(
                "envgate_budget_closed",
                "Whether the upstream has asked for silence.",
                &[BUDGET],
            )?,
            redis_up: add.gauges(
                "envgate_budget_redis_up",
                "Whether Redis answers; 1 where the budget is not shared.",
                &[BUDGET],
            )?,
            wait: add.histograms(
                "envgate_budget_wait_seconds",
                "How long requests waited for their turn before they were admitted.",
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
                &[BUDGET, "limit", "reason"],
            )?,
        })
    }

    pub(super) fn is_cut_off(&self, budget: &str) -> bool {
        let gauge = self.redis_up.get_metric_with_label_values(&[budget]);
        gauge.is_ok_and(|gauge| gauge.get() == 0)
    }

    pub(super) fn of(&self, budget: &str, is_rated: bool) -> BudgetMetrics {
        let label = [budget];
        let refused = |limit| {
            let by = |reason| self.refused.with_label_values(&[budget, limit, reason]);
            RejectionMetrics {
                queue_full: by("queue_full"),
                too_late: by("too_late"),
                waited: by("waited"),
            }
        };
        BudgetMetrics {
            queued: self.queued.with_label_values(&label),
            in_flight: self.in_flight.with_label_values(&label),
            left: is_rated.then(|| self.left.with_label_values(&label)),
            closed: self.closed.with_label_values(&label),
            redis_up: {
                let gauge = self.redis_up.with_label_values(&label);
                gauge.set(1);
                gauge
            },
            wait: self.wait.with_label_values(&label),
            admitted: self.admitted.with_label_values(&label),
            refused_by_tenant: refused("tenant"),
            refused_by_upstream: refused("upstream"),
        }
    }
}
