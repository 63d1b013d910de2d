use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::registrar::{Label, Registrar};

/// The connections at one address.
#[derive(Clone, Debug)]
pub struct ConnectionMetrics {
    /// Those that are open.
    pub open: IntGauge,
    /// Those that were asked to close because another came and there was no room.
    pub closed_for_room: IntCounter,
    /// Those that ended before they spoke TLS.
    pub handshakes_failed: IntCounter,
    /// Those that were asked to close because another of the same client came, which had all it may have.
    pub closed_for_client: IntCounter,
    /// Those that were closed at once because all that their client may have were being served.
    pub refused_to_client: IntCounter,
}

/// The connections at each address.
#[derive(Debug)]
pub(super) struct ConnectionsMetrics {
    open: IntGaugeVec,
    closed_for_room: IntCounterVec,
    handshakes_failed: IntCounterVec,
    closed_for_client: IntCounterVec,
}

const ADDRESS: Label = ("address", "where: `listen` or `admin`");

impl ConnectionsMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            open: add.gauges(
                "envgate_connections_open",
                "Connections that are open.",
                &[ADDRESS],
            )?,
            closed_for_room: add.counters(
                "envgate_connections_closed_for_room_total",
                "Connections that were closed because another came and there was no room.",
                &[ADDRESS],
            )?,
            handshakes_failed: add.counters(
                "envgate_tls_handshakes_failed_total",
                "Connections that ended before they spoke TLS.",
                &[ADDRESS],
            )?,
            closed_for_client: add.counters(
                "envgate_connections_closed_for_client_total",
                "Connections that were closed because their client has as many as it may.",
                &[
                    ADDRESS,
                    (
                        "which",
                        "`older`, one of its own, or `new`, the one that came while all were being served",
                    ),
                ],
            )?,
        })
    }

    pub(super) fn at(&self, address: &str) -> ConnectionMetrics {
        let of_client = |which| self.closed_for_client.with_label_values(&[address, which]);
        ConnectionMetrics {
            closed_for_client: of_client("older"),
            refused_to_client: of_client("new"),
            open: self.open.with_label_values(&[address]),
            closed_for_room: self.closed_for_room.with_label_values(&[address]),
            handshakes_failed: self.handshakes_failed.with_label_values(&[address]),
        }
    }
}
