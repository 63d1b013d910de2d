use prometheus::{IntCounter, IntGauge};

use super::registrar::Registrar;

/// How the upstream is doing, and what the gateway does about it.
#[derive(Debug)]
pub struct UpstreamMetrics {
    /// Connections that were made to it.
    pub connections_opened: IntCounter,
    /// Requests that were sent a second time: those that had not started, and reads on a connection that had
    /// died idle.
    pub resent: IntCounter,
    /// Lookups of its name that failed.
    pub dns_failures: IntCounter,
    /// Whether it is asked: 0 closed, all requests go up; 1 half-open, one does; 2 open, none does.
    pub circuit_state: IntGauge,
    /// Times that the circuit opened.
    pub circuit_opened: IntCounter,
    /// Requests that were not sent because of the circuit.
    pub circuit_refused: IntCounter,
}

impl UpstreamMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            connections_opened: add.counter(
                "envgate_upstream_connections_opened_total",
                "Connections made to the upstream.",
            )?,
            resent: add.counter(
                "envgate_upstream_retries_total",
                "Requests sent again: not started before, or reads on a connection that had died while idle.",
            )?,
            dns_failures: add.counter(
                "envgate_upstream_dns_failures_total",
                "Lookups of the upstream's name that failed.",
            )?,
            circuit_state: add.gauge(
                "envgate_circuit_state",
                "Whether the upstream is asked: 0 closed (yes), 1 half-open (one request tries), 2 open (no).",
            )?,
            circuit_opened: add.counter(
                "envgate_circuit_opened_total",
                "Times that the circuit opened.",
            )?,
            circuit_refused: add.counter(
                "envgate_circuit_refused_total",
                "Requests that were not sent because of the circuit.",
            )?,
        })
    }
}
