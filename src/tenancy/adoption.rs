/// What became of an environment that a tenant was to adopt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// It bears the tenant's stamp now.
    Adopted,
    /// It did so before.
    AlreadyOwn,
    /// It stays as it was.
    Refused(AdoptionRefusal),
}

/// Why an environment was not adopted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdoptionRefusal {
    /// The credential of the tenant's plan sees no such environment.
    #[error("there is no such environment under the credential of the tenant's plan")]
    NotFound,
    /// It bears another stamp, perhaps that of a tenant who was deleted.
    #[error("it is another tenant's; force takes it from them")]
    AnothersOwn,
    /// The upstream takes so many pairs of metadata and no more.
    #[error(
        "the upstream takes no further pair of metadata, and the stamp is one; remove one first. It said: {0}"
    )]
    MetadataFull(String),
    /// The upstream answered the update, and the stamp is not in what it says is stored.
    #[error("the upstream took the stamp and does not show it")]
    NotKept,
    /// There was no time left to begin with it.
    #[error("there was no time left for it, so nothing was done; ask for it again")]
    NotTried,
    /// The gateway did not see how it ended.
    #[error("it was cut off, so that nobody knows whether it was done; ask for it again, which does no harm")]
    CutOff,
    /// The upstream refused, or could not be asked.
    #[error("{0}")]
    Upstream(String),
}

impl Adoption {
    /// The outcome as the admin API names it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Adopted => "adopted",
            Self::AlreadyOwn => "already_own",
            Self::Refused(_) => "refused",
        }
    }
}

impl AdoptionRefusal {
    /// What [`AdoptionRefusal::code`] can be.
    pub const CODES: [&'static str; 7] = [
        "environment_not_found",
        "another_tenants",
        "metadata_full",
        "stamp_not_kept",
        "not_tried",
        "cut_off",
        "upstream",
    ];

    /// The refusal as programs know it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "environment_not_found",
            Self::AnothersOwn => "another_tenants",
            Self::MetadataFull(_) => "metadata_full",
            Self::NotKept => "stamp_not_kept",
            Self::NotTried => "not_tried",
            Self::CutOff => "cut_off",
            Self::Upstream(_) => "upstream",
        }
    }
}
