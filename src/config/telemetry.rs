//! `[telemetry]`: what is told of requests, beyond the log.

use super::reader::Reader;
use super::values;

/// `[telemetry]`.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// For how many tenants, those that ask the most, requests are counted by name; 0 for none.
    pub tenants: usize,
}

impl Reader<'_> {
    pub(super) fn telemetry(&mut self) -> Option<Telemetry> {
        let tenants = self.read("telemetry.tenants", |raw| values::integer(raw, 0..=1000));
        Some(Telemetry { tenants: tenants? })
    }
}
