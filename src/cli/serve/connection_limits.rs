//! How many connections of clients may be open: as many as are wished for, and as there are descriptors.

use crate::config::Settings;
use crate::server::{ConnectionLimits, DescriptorLimit};

/// As many descriptors as the system allows.
pub(super) fn raise_descriptors() -> DescriptorLimit {
    DescriptorLimit::raise().unwrap_or_else(|(limit, error)| {
        tracing::warn!(%error, "the limit of descriptors cannot be raised");
        limit
    })
}

/// How many there may be with so many descriptors. The settings say it from then on, because other limits follow
/// from it.
pub(super) fn limit_connections(settings: &mut Settings, limit: DescriptorLimit) -> ConnectionLimits {
    let listen = &mut settings.listen;
    let asked = listen.max_connections;
    let max_connections = limit.connections(asked);
    if asked.is_some_and(|asked| asked > max_connections) {
        tracing::warn!(
            asked,
            max_connections,
            descriptors = limit.raised,
            "there are too few descriptors for as many connections as listen.max_connections allows"
        );
    }
    listen.max_connections = Some(max_connections);
    ConnectionLimits::new(
        max_connections,
        listen.max_connections_per_address,
        listen.trusted_networks.clone(),
    )
}

/// Tells the log.
pub(super) fn tell_limits(limits: &ConnectionLimits, descriptors: DescriptorLimit) {
    tracing::info!(
        max_connections = limits.max,
        of_one_address = limits.max_per_client,
        descriptors = descriptors.raised,
        descriptors_inherited = descriptors.inherited,
        "how many connections of clients may be open"
    );
}
