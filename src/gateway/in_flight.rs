use prometheus::IntGauge;

/// Counts a request in, and out again however it ends.
pub(super) struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    /// None where there are as many as there may be.
    pub(super) fn enter(gauge: &'a IntGauge, max: i64) -> Option<Self> {
        gauge.inc();
        let in_flight = Self(gauge);
        (gauge.get() <= max).then_some(in_flight)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
