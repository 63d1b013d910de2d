//! Replicas that share a budget in Redis: together never over it, whatever dies.

mod gateways;
mod learning;
mod replicas;
mod seats;

use std::time::Duration;

/// How long the replicas are driven; `ENVGATE_DRIVE_SECONDS` makes it longer.
#[allow(clippy::disallowed_methods, reason = "it is no setting of the gateway's")]
fn drive_time() -> Duration {
    let seconds = std::env::var("ENVGATE_DRIVE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(4, |seconds| seconds.parse().unwrap()))
}
