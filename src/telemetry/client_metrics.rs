use prometheus::IntCounter;

use super::registrar::Registrar;

/// What becomes of clients' connections, beyond how many there are.
#[derive(Debug)]
pub struct ClientMetrics {
    /// Connections that were closed because nothing happened on them.
    pub idle: IntCounter,
    /// Connections that were closed after as many requests as they may have.
    pub worn_by_requests: IntCounter,
    /// Connections that were closed because they were old.
    pub worn_by_age: IntCounter,
    /// Connections that were closed because only trusted networks may open one.
    pub untrusted: IntCounter,
    /// Connections that did not begin with a PROXY header.
    pub without_proxy_header: IntCounter,
    /// Connections whose PROXY header did not come in time.
    pub late_proxy_header: IntCounter,
}

impl ClientMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        let retired = add.counters(
            "envgate_connections_retired_total",
            "Connections of tenants that were closed in order.",
            &[(
                "reason",
                "`idle`, or with an answer: after so many `requests`, or at that `age`",
            )],
        )?;
        let refused = add.counters(
            "envgate_proxy_headers_refused_total",
            "With listen.proxy_protocol, connections that were closed because of where they came from or how they began.",
            &[(
                "reason",
                "`untrusted`, from elsewhere than `listen.trusted_networks`; `malformed`, without a PROXY header; `late`",
            )],
        )?;
        Ok(Self {
            idle: retired.with_label_values(&["idle"]),
            worn_by_requests: retired.with_label_values(&["requests"]),
            worn_by_age: retired.with_label_values(&["age"]),
            untrusted: refused.with_label_values(&["untrusted"]),
            without_proxy_header: refused.with_label_values(&["malformed"]),
            late_proxy_header: refused.with_label_values(&["late"]),
        })
    }
}
