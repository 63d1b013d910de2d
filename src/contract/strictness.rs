/// What becomes of a body that breaks a rule which an operator may relax.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Rule {
    /// The request is refused.
    #[default]
    Reject,
    /// The request goes on; the answer carries `envgate-warning`, a metric counts.
    Warn,
    /// The request goes on.
    Allow,
}

/// The rules that an operator may relax. All others hold always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Strictness {
    /// Fields that no document names.
    pub unknown_field: Rule,
    /// Entries of `allowed_hosts` that are no bare host name.
    pub host_format: Rule,
}

/// How strictly the parts of a body are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyStrictness {
    /// What stands under `config`.
    pub config: Strictness,
    /// All else.
    pub rest: Strictness,
}

/// The same everywhere.
impl From<Strictness> for BodyStrictness {
    fn from(strictness: Strictness) -> Self {
        Self {
            config: strictness,
            rest: strictness,
        }
    }
}
