/// The name of the budget that is there even when none is written.
pub const DEFAULT_BUDGET: &str = "default";

/// `[budgets.NAME]`: what may go up for one organisation. None stands for no limit; all limits apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Requests in any 60 seconds.
    pub requests_per_minute: Option<u32>,
    /// Exchanges in flight.
    pub concurrent_requests: Option<u32>,
    /// Creates in any 60 seconds.
    pub creates_per_minute: Option<u32>,
    /// Reads in any 60 seconds.
    pub reads_per_minute: Option<u32>,
}

impl Budget {
    /// What Anthropic allows an organisation: the lower of the two pairs that it publishes.
    pub const PUBLISHED: Self = Self {
        requests_per_minute: Some(60),
        concurrent_requests: Some(5),
        ..Self::UNLIMITED
    };

    /// All its limits by their names in the settings.
    #[must_use]
    pub const fn limits(&self) -> [(&'static str, Option<u32>); 4] {
        [
            ("requests_per_minute", self.requests_per_minute),
            ("concurrent_requests", self.concurrent_requests),
            ("creates_per_minute", self.creates_per_minute),
            ("reads_per_minute", self.reads_per_minute),
        ]
    }

    /// No limit: an upstream on this machine has none.
    pub const UNLIMITED: Self = Self {
        requests_per_minute: None,
        concurrent_requests: None,
        creates_per_minute: None,
        reads_per_minute: None,
    };
}
