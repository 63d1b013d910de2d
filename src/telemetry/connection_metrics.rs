use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::registrar::Registrar;

/// The connections at one address.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    /// Those that are open.
    pub open: IntGauge,
    /// Those that were asked to close because another came and there was no room.
    pub closed_for_room: IntCounter,
    /// Those that ended before they spoke TLS.
    pub handshakes_failed: IntCounter,
}

/// The connections at each address.
#[derive(Debug)]
pub(super) struct ConnectionsMetrics {
    open: IntGaugeVec,
    closed_for_room: IntCounterVec,
    handshakes_failed: IntCounterVec,
}

impl ConnectionsMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            open: add.gauges(
                "envgate_connections_open",
                "Connections that are open, by the settings' name of the address.",
                &["address"],
            )?,
            closed_for_room: add.counters(
                "envgate_connections_closed_for_room_total",
                "Connections that were asked to close because another came and there was no room.",
                &["address"],
            )?,
            handshakes_failed: add.counters(
                "envgate_tls_handshakes_failed_total",
                "Connections that ended before they spoke TLS.",
                &["address"],
            )?,
        })
    }

    pub(super) fn at(&self, address: &str) -> ConnectionMetrics {
        ConnectionMetrics {
            open: self.open.with_label_values(&[address]),
            closed_for_room: self.closed_for_room.with_label_values(&[address]),
            handshakes_failed: self.handshakes_failed.with_label_values(&[address]),
        }
    }
}
