use jiff::Timestamp;

/// The header that a credential came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialHeader {
    /// `Authorization: Bearer`
    Authorization,
    /// `X-Api-Key`
    ApiKey,
}

impl CredentialHeader {
    /// Its name, as the documents write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authorization => "Authorization",
            Self::ApiKey => "X-Api-Key",
        }
    }
}

/// Why a credential does not name a caller; the label of the metric of authentication failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthenticationFailure {
    /// Neither header came.
    #[error("no API key: send it as Authorization: Bearer or as X-Api-Key")]
    Missing,
    /// `Authorization` is not a Bearer credential.
    #[error("the Authorization header must be: Bearer, one space and the API key")]
    Malformed,
    /// A header came twice.
    #[error("the {} header came twice", .0.name())]
    Repeated(CredentialHeader),
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
            Self::Malformed | Self::Repeated(_) => "malformed",
            Self::Conflicting => "conflicting",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired(_) => "expired",
            Self::Suspended => "suspended",
        }
    }

    /// What `WWW-Authenticate` says (RFC 6750 §3): how to ask, and whether there was a key that is none.
    pub(super) const fn challenge(self) -> &'static str {
        match self {
            Self::Missing => "Bearer realm=\"envgate\"",
            _ => "Bearer realm=\"envgate\", error=\"invalid_token\"",
        }
    }
}

/// Where a credential came, for the end of a sentence.
pub(super) fn in_header(header: Option<CredentialHeader>) -> String {
    header.map_or(String::new(), |header| format!(" (in {})", header.name()))
}
