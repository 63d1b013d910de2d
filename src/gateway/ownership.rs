//! Whose an environment is: the stamp that goes up, the owner that is asked for, the 404 for anybody else's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use moka::Expiry;
use moka::sync::Cache;

use super::reply::Accepted;
use crate::config;
use crate::contract::{ApiError, Object, Operation, StampKey, Target, UpstreamRefusal};
use crate::environment::EnvironmentId;
use crate::tenancy::{Caller, Directory, TenantId};
use crate::text::{CursorError, CursorSealer};

/// How long it is known that an environment is its tenant's.
const OWNED_FOR: Duration = Duration::from_secs(10 * 60);
/// How long it is known that there is no such environment for a tenant.
const NOT_OWNED_FOR: Duration = Duration::from_secs(60);
/// How many answers are remembered, of all tenants together; about 250 bytes each.
const REMEMBERED: u64 = 100_000;

/// The upstream limits the pairs of metadata, and one of them is ours. From so many on, a client may not understand
/// why.
const NEAR_THE_LIMIT: usize = 15;

/// What tells the environments of tenants apart that share an upstream credential.
pub(super) struct Ownership {
    pub(super) stamp_key: StampKey,
    is_stamping: bool,
    owners: Cache<Claim, Standing>,
    /// How often anything was forgotten.
    forgettings: AtomicU64,
    sealer: OnceLock<CursorSealer>,
}

/// Who says that an environment is theirs, and where.
#[derive(Clone, Copy)]
pub(super) struct Claimant<'a> {
    pub(super) caller: &'a Caller,
    /// The part of the upstream that the caller sees.
    pub(super) access: &'a Arc<str>,
}

/// A tenant's use of an environment's id. The tenant is part of it, so that what one tenant did tells another nothing:
/// neither an answer nor the time that it takes depends on whether the environment exists for somebody else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Claim {
    tenant: TenantId,
    access: Arc<str>,
    environment: EnvironmentId,
}

impl Claim {
    pub(super) fn new(claimant: Claimant<'_>, environment: &EnvironmentId) -> Self {
        Self {
            tenant: claimant.caller.tenant.id.clone(),
            access: Arc::clone(claimant.access),
            environment: environment.clone(),
        }
    }
}

/// A time between two forgettings. An answer to what was asked before the last one is not to be remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u64);

/// What a claim is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Owned,
    /// Another tenant's, nobody's, or not there: all one.
    NotOwned,
}

impl Ownership {
    pub(super) fn new(settings: &config::Ownership) -> Self {
        Self {
            stamp_key: settings.stamp_key.clone(),
            is_stamping: settings.is_stamping,
            owners: Cache::builder()
                .max_capacity(REMEMBERED)
                .expire_after(ByStanding)
                .build(),
            forgettings: AtomicU64::new(0),
            sealer: OnceLock::new(),
        }
    }

    pub(super) const fn is_stamping(&self) -> bool {
        self.is_stamping
    }

    /// Whether a list has to be filtered before the caller sees it.
    pub(super) fn is_filtering(&self, caller: &Caller) -> bool {
        self.is_stamping || caller.environments().is_some()
    }

    /// Whether an environment is the caller's, as its stamp says; without stamps everything is.
    pub(super) fn is_stamped_for(&self, caller: &Caller, environment: &Object<'_>) -> bool {
        let is_callers = |stamp: &str| stamp == caller.tenant.id.0;
        !self.is_stamping
            || self
                .stamp_key
                .read(environment)
                .as_deref()
                .is_some_and(is_callers)
    }

    /// Without the stamp one tenant has a credential for itself: one tenant on all the plans that share it. A second
    /// may be made while the gateway runs, by a command that reads other settings; nobody sees another's environments
    /// even then.
    pub(super) fn check_alone(&self, directory: &Directory, sharing: &[String]) -> Result<(), ApiError> {
        if self.is_stamping || directory.count_on(sharing) <= 1 {
            return Ok(());
        }
        Err(ApiError::Forbidden(
            "the gateway cannot tell its tenants' environments apart as it is set up; tell whoever runs it"
                .to_owned(),
        ))
    }

    /// The sealer of page cursors; none before the store was read.
    pub(super) fn sealer(&self) -> Result<&CursorSealer, ApiError> {
        self.sealer.get().ok_or(ApiError::NotReady)
    }

    pub(super) fn set_cursor_key(&self, key: &[u8; 32]) -> Result<(), CursorError> {
        let sealer = CursorSealer::new(key)?;
        // The store has one key; who sets it again sets the same.
        let _ = self.sealer.set(sealer);
        Ok(())
    }

    /// The body as it goes up: the client's own bytes, with the stamp in those of a create.
    pub(super) fn stamp(
        &self,
        operation: Operation,
        caller: &Caller,
        body: Bytes,
    ) -> Result<Bytes, ApiError> {
        if !self.is_stamping || operation != Operation::Create {
            return Ok(body);
        }
        let text = std::str::from_utf8(&body).map_err(|_| ApiError::Internal)?;
        let stamped = self.stamp_key.insert(text, &caller.tenant.id.0);
        stamped.map(Bytes::from).ok_or(ApiError::Internal)
    }

    /// Judges and remembers whose an environment is by what the upstream said of it. Whatever is not the caller's is
    /// not there, in the gateway's own words. `asked_at` is the [moment](Self::moment) from before it was asked.
    pub(super) fn settle(
        &self,
        target: &Target,
        claimant: Claimant<'_>,
        asked_at: Moment,
        outcome: Result<Accepted, ApiError>,
    ) -> Result<Accepted, ApiError> {
        if !self.is_stamping {
            return outcome;
        }
        let remember = |id, standing| self.remember(claimant, id, standing, asked_at);
        match (target.operation, &target.environment, outcome) {
            (_, Some(id), Err(error)) if is_not_found(&error) => {
                remember(id, Standing::NotOwned);
                Err(ApiError::EnvironmentNotFound)
            }
            // A write too: the environment may have become another's since it was asked for.
            (Operation::Retrieve | Operation::Update | Operation::Archive, Some(id), Ok(accepted)) => {
                if !accepted.is_stamped_for(claimant.caller) {
                    remember(id, Standing::NotOwned);
                    return Err(ApiError::EnvironmentNotFound);
                }
                remember(id, Standing::Owned);
                Ok(accepted)
            }
            (Operation::Create, _, Ok(accepted)) => {
                if let (Some(id), true) = (&accepted.environment, accepted.is_stamped_for(claimant.caller)) {
                    remember(id, Standing::Owned);
                }
                Ok(accepted)
            }
            (Operation::Delete, Some(id), Ok(accepted)) => {
                remember(id, Standing::NotOwned);
                Ok(accepted)
            }
            (_, _, outcome) => outcome,
        }
    }

    /// Tells a client whose metadata was refused, with nearly as many pairs as the upstream takes, that one more is
    /// in it than it sent.
    pub(super) fn explain(&self, error: ApiError, metadata_pairs: usize) -> ApiError {
        match error {
            ApiError::Upstream(refusal)
                if self.is_stamping && metadata_pairs >= NEAR_THE_LIMIT && is_metadata_refused(&refusal) =>
            {
                let message = format!(
                    "{} (one pair of the metadata is reserved by the gateway)",
                    refusal.message
                );
                ApiError::Upstream(Box::new(UpstreamRefusal { message, ..*refusal }))
            }
            error => error,
        }
    }

    /// Now, as far as it matters for what is forgotten.
    pub(super) fn moment(&self) -> Moment {
        Moment(self.forgettings.load(Ordering::SeqCst))
    }

    /// Forgets whose these environments are, for every tenant, and what is being asked about them at present. Looks at all that is remembered: this is for what an
    /// operator does now and then.
    pub(super) fn forget(&self, ids: &[EnvironmentId]) {
        self.forgettings.fetch_add(1, Ordering::SeqCst);
        let is_meant = |claim: &Arc<Claim>| ids.contains(&claim.environment);
        let meant: Vec<_> = self
            .owners
            .iter()
            .map(|(claim, _)| claim)
            .filter(is_meant)
            .collect();
        for claim in meant {
            self.owners.invalidate(&*claim);
        }
    }

    /// What a claim is known to be worth.
    pub(super) fn standing(&self, claimant: Claimant<'_>, environment: &EnvironmentId) -> Option<Standing> {
        self.owners.get(&Claim::new(claimant, environment))
    }

    fn remember(&self, claimant: Claimant<'_>, id: &EnvironmentId, standing: Standing, asked_at: Moment) {
        self.owners.insert(Claim::new(claimant, id), standing);
        // Looked at afterwards, for whoever forgets counts first and looks for entries then: one of the two finds it.
        if self.moment() != asked_at {
            self.owners.invalidate(&Claim::new(claimant, id));
        }
    }
}

/// Whether the upstream says that there is no such environment.
pub(super) fn is_not_found(error: &ApiError) -> bool {
    matches!(error, ApiError::Upstream(refusal) if refusal.status == StatusCode::NOT_FOUND)
}

/// Whether the upstream refuses a write for its metadata.
pub(super) fn is_metadata_refused(refusal: &UpstreamRefusal) -> bool {
    refusal.status == StatusCode::BAD_REQUEST && refusal.message.to_lowercase().contains("metadata")
}

/// An answer is remembered as long as its kind allows, from its last writing on.
struct ByStanding;

impl ByStanding {
    const fn lifetime(standing: Standing) -> Duration {
        match standing {
            Standing::Owned => OWNED_FOR,
            Standing::NotOwned => NOT_OWNED_FOR,
        }
    }
}

impl Expiry<Claim, Standing> for ByStanding {
    fn expire_after_create(&self, _claim: &Claim, standing: &Standing, _at: Instant) -> Option<Duration> {
        Some(Self::lifetime(*standing))
    }

    fn expire_after_update(
        &self,
        _claim: &Claim,
        standing: &Standing,
        _at: Instant,
        _left: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::lifetime(*standing))
    }
}

#[cfg(test)]
mod tests;
