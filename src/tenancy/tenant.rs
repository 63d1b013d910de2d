use std::fmt;

use crate::config;
use crate::text::{NoRandomNumbers, random_bytes};

/// The id of a tenant: 128 random bits in base 58. It is never used again, whatever happens to the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantId(pub String);

impl TenantId {
    /// Makes a new id from the system's random numbers.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn generate() -> Result<Self, NoRandomNumbers> {
        let bits = bs58::encode(random_bytes::<16>()?).into_string();
        Ok(Self(format!("ten_{bits}")))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Somebody to whom the operator gives keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique, as people say it.
    pub name: String,
    /// The name of its plan; what the plan gives stands in the settings, which may not have it.
    pub plan: String,
    /// When it was created, RFC 3339.
    pub created_at: String,
    /// Whether its keys are turned away for now.
    pub is_suspended: bool,
}

impl Tenant {
    /// The plan of a tenant for whom none was named.
    pub const DEFAULT_PLAN: &'static str = config::DEFAULT_PLAN;

    /// Its name and that of its plan.
    #[must_use]
    pub fn name_and_plan(&self) -> (&str, &str) {
        (&self.name, &self.plan)
    }
}
