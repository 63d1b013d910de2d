use prometheus::{IntCounter, IntGaugeVec};

use super::registrar::Registrar;
use crate::contract::FindingKind;

/// Whether the upstream's replies still are what the contract says.
#[derive(Clone, Debug)]
pub struct DriftMetrics {
    findings: IntGaugeVec,
    /// Replies of a shape that was seen before.
    pub known_shape: IntCounter,
    /// Replies of a new shape, measured against the schemas.
    pub measured: IntCounter,
    /// Replies of a new shape that nobody had time or room for.
    pub unmeasured: IntCounter,
}

impl DriftMetrics {
    /// What an operator may have said of a finding.
    pub const STATES: [&'static str; 2] = ["new", "known"];

    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        let replies = add.counters(
            "envgate_drift_replies_total",
            "Replies of the upstream by how they were looked at for drift.",
            &[(
                "result",
                "`known_shape`, one of the same shape was measured before; `measured` against the schemas; `unmeasured`, \
                 too many of new shapes came at once",
            )],
        )?;
        let findings = add.gauges(
            "envgate_drift_findings",
            "In how many ways the upstream's replies differ from the contract, as the store has them.",
            &[
                (
                    "kind",
                    "`unknown_field`, `missing_field`, `wrong_type`, `unknown_value`, `broken_rule`, `refused_upstream`: a write \
                     that keeps its schema, or `remainder`: more than can be kept apart",
                ),
                ("state", "`new`, or `known` where an operator has acknowledged it"),
            ],
        )?;
        let metrics = Self {
            findings,
            known_shape: replies.with_label_values(&["known_shape"]),
            measured: replies.with_label_values(&["measured"]),
            unmeasured: replies.with_label_values(&["unmeasured"]),
        };
        metrics.set_findings(&[]);
        Ok(metrics)
    }

    /// Says how many findings there are, by kind and state. Of what is not named there are none.
    pub fn set_findings(&self, counts: &[(String, String, i64)]) {
        for kind in FindingKind::ALL.map(FindingKind::name) {
            for state in Self::STATES {
                let same = |(k, s, _): &&(String, String, i64)| k == kind && s == state;
                let count = counts.iter().find(same).map_or(0, |(_, _, count)| *count);
                self.findings.with_label_values(&[kind, state]).set(count);
            }
        }
    }
}
