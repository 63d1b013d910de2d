use std::time::Duration;

/// `[drift]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Whether the upstream's replies are measured against their schemas.
    pub is_enabled: bool,
    /// How long a finding is kept that is not seen again; none for ever.
    pub retention: Option<Duration>,
}
