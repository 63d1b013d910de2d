use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::body::BodyLimits;
use super::ownership::Ownership;
use super::plans::Plans;
use super::shared_reads::SharedReads;
use super::turns::Turns;
use crate::config::{Settings, UpstreamService};
use crate::contract::Dialect;
use crate::quota::Budget;
use crate::store::Audit;
use crate::telemetry::Metrics;
use crate::tenancy::Directory;
use crate::text::CursorError;
use crate::upstream::{Origin, SetUpError};

/// All that an exchange needs, shared by every worker.
pub struct Gateway {
    pub(super) directory: Arc<Directory>,
    pub(super) plans: Plans,
    pub(super) origin: Arc<Origin>,
    pub(super) ownership: Ownership,
    pub(super) turns: Turns,
    pub(super) reads: SharedReads,
    /// One adoption at a time.
    pub(super) adopting: tokio::sync::Mutex<()>,
    /// What is spoken to those who are not known yet.
    pub(super) dialect: &'static Dialect,
    pub(super) limits: BodyLimits,
    pub(super) audit: Option<Audit>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) is_stopping: AtomicBool,
}

impl Gateway {
    /// Builds the gateway; nothing is bound and nothing connected yet. Writes are left with `audit`, if there is one.
    ///
    /// # Errors
    /// [`SetUpError`] where no client of the upstream can be made.
    pub fn new(
        settings: &Settings,
        service: &UpstreamService,
        directory: Arc<Directory>,
        audit: Option<Audit>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetUpError> {
        let origin = Arc::new(Origin::new(
            service.url.clone(),
            settings.upstream.circuit,
            Arc::clone(&metrics),
        )?);
        Ok(Self {
            directory,
            plans: Plans::new(settings, &service.credential, &origin, &metrics)?,
            origin,
            dialect: settings.contract.dialect,
            ownership: Ownership::new(&settings.ownership),
            turns: Turns::default(),
            reads: SharedReads::new(&settings.cache),
            adopting: tokio::sync::Mutex::default(),
            limits: BodyLimits {
                max_bytes: settings.listen.max_body_bytes,
                timeout: settings.listen.body_timeout,
            },
            audit,
            metrics,
            is_stopping: AtomicBool::new(false),
        })
    }

    /// Gives the gateway the key that page cursors are sealed with, from the store that all replicas share. Until it
    /// has one, lists answer that the gateway is not ready.
    ///
    /// # Errors
    /// Where the cipher does not take the key.
    pub fn set_cursor_key(&self, key: &[u8; 32]) -> Result<(), CursorError> {
        self.ownership.set_cursor_key(key)
    }

    /// Where requests go up to. Somebody has to follow its name.
    #[must_use]
    pub const fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// The budgets that requests spend; each wants its task to [run](Budget::run).
    pub fn budgets(&self) -> impl Iterator<Item = &Arc<Budget>> {
        self.plans.budgets()
    }
}
