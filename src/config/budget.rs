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
    /// Creates, updates, archives and deletes in any 60 seconds.
    pub writes_per_minute: Option<u32>,
    /// Reads in any 60 seconds.
    pub reads_per_minute: Option<u32>,
    /// Whether a 429 of the upstream's lowers the limit of its kind for a while.
    pub learn: bool,
}

impl Budget {
    /// No limit before the upstream has taught one.
    pub const UNLIMITED: Self = Self {
        requests_per_minute: None,
        concurrent_requests: None,
        creates_per_minute: None,
        writes_per_minute: None,
        reads_per_minute: None,
        learn: true,
    };

    /// What Anthropic's reference gives an organisation.
    pub const ANTHROPIC: Self = Self {
        writes_per_minute: Some(300),
        reads_per_minute: Some(1200),
        ..Self::UNLIMITED
    };

    /// What is assumed of the upstream at a host where nothing is written: something of Anthropic's own only.
    #[must_use]
    pub fn of_host(host: Option<&str>) -> Self {
        match host {
            Some("api.anthropic.com") => Self::ANTHROPIC,
            _ => Self::UNLIMITED,
        }
    }

    /// All its limits by their names in the settings.
    #[must_use]
    pub const fn limits(&self) -> [(&'static str, Option<u32>); 5] {
        [
            ("requests_per_minute", self.requests_per_minute),
            ("concurrent_requests", self.concurrent_requests),
            ("creates_per_minute", self.creates_per_minute),
            ("writes_per_minute", self.writes_per_minute),
            ("reads_per_minute", self.reads_per_minute),
        ]
    }
}
