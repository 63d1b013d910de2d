use jiff::Timestamp;

/// Why a credential does not name a caller; the label of the metric of authentication failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthenticationFailure {
    /// Neither header came.
    #[error("no API key: send it as Authorization: Bearer or as X-Api-Key")]
    Missing,
    /// `Authorization` is not a Bearer credential, or a header came twice.
    #[error("the Authorization header must be: Bearer, one space and the API key")]
    Malformed,
    /// Both headers came, with different keys.
    #[error("Authorization and X-Api-Key carry different keys; send one")]
    Conflicting,
    /// The key is not known.
    #[error("invalid API key")]
    Unknown,
    /// The key was revoked.
    #[error("this API key was revoked")]
    Revoked,
    /// The key had a date, and that has come.
    #[error("this API key expired at {0}")]
    Expired(Timestamp),
    /// The tenant is suspended.
    #[error("the tenant of this API key is suspended")]
    Suspended,
}

impl AuthenticationFailure {
    /// All labels that [`AuthenticationFailure::label`] gives.
    pub const LABELS: [&'static str; 7] = [
        "missing",
        "malformed",
        "conflicting",
        "unknown",
        "revoked",
        "expired",
        "suspended",
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Conflicting => "conflicting",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired(_) => "expired",
            Self::Suspended => "suspended",
        }
    }
}
