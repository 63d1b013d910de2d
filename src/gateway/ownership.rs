//! Whose an environment is: the stamp that goes up, the owner that is asked for, the 404 for anybody else's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use moka::Expiry;
use moka::sync::Cache;

use super::exchange::Exchange;
use super::response::Accepted;
use super::shared_reads::Freshness;
use crate::config;
use crate::contract::{ApiError, Operation, RequestQuery, StampKey, Target, UpstreamError};
use crate::environment::EnvironmentId;
use crate::tenancy::{Caller, Directory, TenantId};
use crate::text::{CursorError, CursorSealer};

/// How long it is known that an environment is its tenant's.
const OWNED_FOR: Duration = Duration::from_secs(10 * 60);
/// How long it is known that there is no such environment for a tenant.
const NOT_OWNED_FOR: Duration = Duration::from_secs(60);
/// How many answers are remembered, of all tenants together; about 250 bytes each.
const REMEMBERED: u64 = 100_000;

/// The upstream limits the pairs of metadata, and one of them is ours. From so many on, a client may not
/// understand why.
const NEAR_THE_LIMIT: usize = 15;

impl Exchange<'_> {
    /// Refuses an environment that is not the caller's, from memory where that knows. Where it does not, a
    /// retrieve will see from its own reply; for what would change something one retrieve goes ahead.
    pub(super) async fn check_owner(&mut self) -> Result<(), ApiError> {
        let owners = &self.gateway.owners;
        let Some(id) = self
            .head
            .target
            .environment
            .as_ref()
            .filter(|_| owners.is_stamping)
        else {
            return Ok(());
        };
        match (
            owners.ownership(self.upstream.scope(), id),
            self.head.target.operation,
        ) {
            (Some(Ownership::NotOwned), _) => Err(ApiError::EnvironmentNotFound),
            (Some(Ownership::Owned), _) | (None, Operation::Retrieve) => Ok(()),
            (None, _) => self.retrieve_own(id, Freshness::ANY).await.map(drop),
        }
    }

    /// Retrieves an environment of the caller's as it is stored, and remembers whose it is.
    pub(super) async fn retrieve_own(
        &mut self,
        id: &EnvironmentId,
        freshness: Freshness,
    ) -> Result<Bytes, ApiError> {
        let owners = &self.gateway.owners;
        if owners.ownership(self.upstream.scope(), id) == Some(Ownership::NotOwned) {
            return Err(ApiError::EnvironmentNotFound);
        }
        let retrieve = Target {
            operation: Operation::Retrieve,
            environment: Some(id.clone()),
        };
        let asked_at = owners.epoch();
        let outcome = self.read(&retrieve, &RequestQuery::default(), freshness).await?;
        let outcome = outcome.accept(&retrieve, self.dialect());
        let stored = owners
            .settle(&retrieve, self.upstream.scope(), asked_at, outcome)?
            .stored;
        self.audit.before = Some(stored.clone());
        Ok(stored)
    }
}

/// What tells the environments of tenants apart that share an upstream credential.
pub(super) struct Owners {
    pub(super) stamp_key: StampKey,
    is_stamping: bool,
    owners: Cache<OwnershipKey, Ownership>,
    /// How often anything was forgotten.
    forgettings: AtomicU64,
    sealer: OnceLock<CursorSealer>,
}

/// Who says that an environment is theirs, and where.
#[derive(Clone, Copy)]
pub(super) struct OwnerScope<'a> {
    pub(super) caller: &'a Caller,
    /// The part of the upstream that the caller sees.
    pub(super) access: &'a Arc<str>,
}

/// A tenant's use of an environment's id. The tenant is part of it, so that what one tenant did tells another
/// nothing: neither an answer nor the time that it takes depends on whether the environment exists for
/// somebody else.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct OwnershipKey {
    tenant: TenantId,
    access: Arc<str>,
    environment: EnvironmentId,
}

impl OwnershipKey {
    pub(super) fn new(scope: OwnerScope<'_>, environment: &EnvironmentId) -> Self {
        Self {
            tenant: scope.caller.tenant.id.clone(),
            access: Arc::clone(scope.access),
            environment: environment.clone(),
        }
    }
}

/// A time between two forgettings. An answer to what was asked before the last one is not to be remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Epoch(u64);

/// Whether an environment is a tenant's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    Owned,
    /// Another tenant's, nobody's, or not there: all one.
    NotOwned,
}

impl Owners {
    pub(super) fn new(settings: &config::Ownership) -> Self {
        Self {
            stamp_key: settings.stamp_key.clone(),
            is_stamping: settings.is_stamping,
            owners: Cache::builder()
                .max_capacity(REMEMBERED)
                .expire_after(ByOwnership)
                .build(),
            forgettings: AtomicU64::new(0),
            sealer: OnceLock::new(),
        }
    }

    /// Whether a list has to be filtered before the caller sees it.
    pub(super) fn is_filtering(&self, caller: &Caller) -> bool {
        self.is_stamping || caller.environments().is_some()
    }

    /// Whether an environment with this stamp is the caller's; without stamps everything is.
    pub(super) fn is_callers(&self, caller: &Caller, stamp: Option<&str>) -> bool {
        !self.is_stamping || stamp == Some(caller.tenant.id.0.as_str())
    }

    /// Without the stamp one tenant has a credential for itself: one tenant on all the plans that share it. A
    /// second may be made while the gateway runs, by a command that reads other settings; nobody sees
    /// another's environments even then.
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

    /// Judges and remembers whose an environment is by what the upstream said of it. Whatever is not the
    /// caller's is not there, in the gateway's own words. `asked_at` is the [epoch](Self::epoch) from before
    /// it was asked.
    pub(super) fn settle(
        &self,
        target: &Target,
        scope: OwnerScope<'_>,
        asked_at: Epoch,
        outcome: Result<Accepted, ApiError>,
    ) -> Result<Accepted, ApiError> {
        if !self.is_stamping {
            return outcome;
        }
        let remember = |id, ownership| self.remember(scope, id, ownership, asked_at);
        match (target.operation, &target.environment, outcome) {
            (_, Some(id), Err(error)) if is_not_found(&error) => {
                remember(id, Ownership::NotOwned);
                Err(ApiError::EnvironmentNotFound)
            }
            // A write too: the environment may have become another's since it was asked for.
            (Operation::Retrieve | Operation::Update | Operation::Archive, Some(id), Ok(accepted)) => {
                if !self.is_callers(scope.caller, accepted.stamp()) {
                    remember(id, Ownership::NotOwned);
                    return Err(ApiError::EnvironmentNotFound);
                }
                remember(id, Ownership::Owned);
                Ok(accepted)
            }
            (Operation::Create, _, Ok(accepted)) => {
                let is_own = self.is_callers(scope.caller, accepted.stamp());
                if let Some(id) = accepted.environment().filter(|_| is_own) {
                    remember(id, Ownership::Owned);
                }
                Ok(accepted)
            }
            (Operation::Delete, Some(id), Ok(accepted)) => {
                remember(id, Ownership::NotOwned);
                Ok(accepted)
            }
            (_, _, outcome) => outcome,
        }
    }

    /// Tells a client whose metadata was refused, with nearly as many pairs as the upstream takes, that one
    /// more is in it than it sent.
    pub(super) fn explain(&self, error: ApiError, metadata_pairs: usize) -> ApiError {
        match error {
            ApiError::Upstream(refusal)
                if self.is_stamping && metadata_pairs >= NEAR_THE_LIMIT && is_metadata_refused(&refusal) =>
            {
                let message = format!(
                    "{} (one pair of the metadata is reserved by the gateway)",
                    refusal.message
                );
                ApiError::Upstream(Box::new(UpstreamError { message, ..*refusal }))
            }
            error => error,
        }
    }

    /// Now, as far as it matters for what is forgotten.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.forgettings.load(Ordering::SeqCst))
    }

    /// Forgets whose these environments are, for every tenant, and what is being asked about them at present.
    /// Looks at all that is remembered: this is for what an operator does now and then.
    pub(super) fn forget(&self, ids: &[EnvironmentId]) {
        self.forgettings.fetch_add(1, Ordering::SeqCst);
        let is_meant = |key: &Arc<OwnershipKey>| ids.contains(&key.environment);
        let meant: Vec<_> = self.owners.iter().map(|(key, _)| key).filter(is_meant).collect();
        for key in meant {
            self.owners.invalidate(&*key);
        }
    }

    /// Whether an environment is known to be the caller's.
    pub(super) fn ownership(&self, scope: OwnerScope<'_>, environment: &EnvironmentId) -> Option<Ownership> {
        self.owners.get(&OwnershipKey::new(scope, environment))
    }

    fn remember(&self, scope: OwnerScope<'_>, id: &EnvironmentId, ownership: Ownership, asked_at: Epoch) {
        self.owners.insert(OwnershipKey::new(scope, id), ownership);
        // Looked at afterwards, for whoever forgets counts first and looks for entries then: one of the two
        // finds it.
        if self.epoch() != asked_at {
            self.owners.invalidate(&OwnershipKey::new(scope, id));
        }
    }
}

/// Whether the upstream says that there is no such environment.
pub(super) fn is_not_found(error: &ApiError) -> bool {
    matches!(error, ApiError::Upstream(refusal) if refusal.status == StatusCode::NOT_FOUND)
}

/// Whether the upstream refuses a write for its metadata.
pub(super) fn is_metadata_refused(refusal: &UpstreamError) -> bool {
    refusal.status == StatusCode::BAD_REQUEST && refusal.message.to_lowercase().contains("metadata")
}

/// An answer is remembered as long as its kind allows, from its last writing on.
struct ByOwnership;

impl ByOwnership {
    const fn lifetime(ownership: Ownership) -> Duration {
        match ownership {
            Ownership::Owned => OWNED_FOR,
            Ownership::NotOwned => NOT_OWNED_FOR,
        }
    }
}

impl Expiry<OwnershipKey, Ownership> for ByOwnership {
    fn expire_after_create(
        &self,
        _key: &OwnershipKey,
        ownership: &Ownership,
        _at: Instant,
    ) -> Option<Duration> {
        Some(Self::lifetime(*ownership))
    }

    fn expire_after_update(
        &self,
        _key: &OwnershipKey,
        ownership: &Ownership,
        _at: Instant,
        _left: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::lifetime(*ownership))
    }
}

#[cfg(test)]
mod tests;
