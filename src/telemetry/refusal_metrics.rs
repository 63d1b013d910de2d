use prometheus::{IntCounter, IntCounterVec};

use super::metrics_page::Section;
use super::registrar::{Registrar, initialise};
use crate::contract::{ApiError, AuthenticationFailure, Operation};
use crate::tenancy::KeyChanges;

/// What tenants get wrong, and what becomes of their keys.
#[derive(Debug)]
pub(super) struct RefusalMetrics {
    authentication_failures: IntCounterVec,
    keys_added: IntCounter,
    keys_revoked: IntCounter,
    violations: IntCounterVec,
    by_upstream: IntCounterVec,
    warnings: IntCounterVec,
}

/// The keywords of the rules that an operator may relax: for unknown fields, and for hosts.
const RELAXABLE: [&str; 3] = ["additionalProperties", "maxLength", "pattern"];

impl RefusalMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        let authentication_failures = add.counters(
            "envgate_authentication_failures_total",
            "401s: requests without a caller.",
            &[(
                "reason",
                "`missing`, `malformed`, `conflicting`, `unknown`, `revoked`, `expired` or `suspended`",
            )],
        )?;
        initialise(&authentication_failures, &AuthenticationFailure::LABELS);
        let key_events = add.counters(
            "envgate_key_events_total",
            "What became of tenants' keys since the start, by whichever command or gateway.",
            &[("event", "`added`, by a rotation too, or `revoked`")],
        )?;
        let warnings = add.counters(
            "envgate_warnings_total",
            "Schema violations that were let through with a warning.",
            &[("keyword", "the keyword that was broken")],
        )?;
        initialise(&warnings, &RELAXABLE);
        Ok(Self {
            authentication_failures,
            keys_added: key_events.with_label_values(&["added"]),
            keys_revoked: key_events.with_label_values(&["revoked"]),
            violations: add.counters(
                "envgate_violations_total",
                "Violations of schemas and policies that refused a request.",
                &[
                    ("keyword", "the keyword of the schema, or the rule of the policy, that was broken"),
                    (
                        "pointer",
                        "where in the body, as the schema describes it: `*` is an element of a list, or a name that is not \
                         the schema's",
                    ),
                ],
            )?,
            by_upstream: add.section(Section::Contract).counters(
                "envgate_contract_refusals_total",
                "Writes of tenants that the upstream refused for what they say, although they keep the schemas here.",
                &[
                    ("operation", "what was asked for"),
                    (
                        "pointer",
                        "the place that the upstream's message names, as the schema describes it; empty where it names none \
                         that the schema has",
                    ),
                ],
            )?,
            warnings,
        })
    }

    pub(super) fn record(&self, error: &ApiError) {
        match error {
            ApiError::Unauthenticated { failure, .. } => {
                self.authentication_failures
                    .with_label_values(&[failure.label()])
                    .inc();
            }
            ApiError::Violations(violations) | ApiError::Policy(violations) => {
                for violation in &violations.told {
                    let labels = [violation.keyword, violation.schema_pointer.as_str()];
                    self.violations.with_label_values(&labels).inc();
                }
            }
            _ => {}
        }
    }

    pub(super) fn record_of_upstream(&self, operation: Operation, place: &str) {
        let labels = [operation.name(), place];
        self.by_upstream.with_label_values(&labels).inc();
    }

    pub(super) fn record_warning(&self, keyword: &'static str) {
        self.warnings.with_label_values(&[keyword]).inc();
    }

    pub(super) fn record_key_changes(&self, changes: KeyChanges) {
        self.keys_added.inc_by(changes.added);
        self.keys_revoked.inc_by(changes.revoked);
    }
}
