//! What goes on beside the requests of a gateway.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use zeroize::Zeroizing;

use super::super::operator;
use super::super::output::CommandError;
use super::embedded_upstream::EmbeddedUpstream;
use super::shutdown::{wait_for_stop, wait_long_after_stop};
use super::welcome;
use crate::config::{Secret, Settings};
use crate::environment::EnvironmentId;
use crate::gateway::{self, Gateway};
use crate::store::{AuditWriter, Presence, Store, StoreError, StoreHealth, Unrecorded};
use crate::telemetry::Metrics;
use crate::tenancy::{Directory, StampRequired, Tenant};

/// How long to wait before a store that does not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// The secret of the store that page cursors are sealed with.
const CURSOR_KEY: &str = "page_cursor";

/// What goes on beside the requests: the store is opened, however long that takes, and followed.
pub(super) struct Background {
    pub(super) settings: Arc<Settings>,
    pub(super) config: Option<PathBuf>,
    pub(super) base_url: String,
    pub(super) is_embedded: bool,
    pub(super) gateway: Arc<Gateway>,
    pub(super) directory: Arc<Directory>,
    pub(super) audit_writer: Option<AuditWriter>,
    pub(super) metrics: Arc<Metrics>,
    /// Where the admin API finds the store once it is open.
    pub(super) store: Arc<OnceLock<Store>>,
    pub(super) store_health: Arc<StoreHealth>,
}

impl Background {
    pub(super) async fn run(
        mut self,
        embedded: Option<EmbeddedUpstream>,
        stopped: watch::Receiver<bool>,
    ) -> Result<Unrecorded, CommandError> {
        if let Some(drift) = self.gateway.drift() {
            tokio::spawn(Arc::clone(drift).run());
        }
        let opened = tokio::select! {
            opened = self.open(embedded, &stopped) => opened,
            // Nobody was let in.
            () = wait_for_stop(stopped.clone()) => return Ok(Unrecorded::default()),
        };
        let (store, presence) = opened?;
        let drift = self.gateway.drift().map(Arc::clone);
        self.metrics.store.set_retention(self.settings.audit.retention);
        let forget = |ids: &[EnvironmentId]| gateway::forget_owners(&self.gateway, ids);
        let audit_writer = self.audit_writer.take();
        let last_used = async {
            tokio::select! {
                () = store.record_last_used(
                    &self.directory,
                    &self.metrics,
                    wait_for_stop(stopped.clone()),
                ) => {}
                () = wait_long_after_stop(stopped.clone()) => {}
            }
        };
        let last_findings = async {
            let Some(drift) = &drift else { return };
            let retention = self.settings.drift.retention;
            tokio::select! {
                () = store.keep_drift(drift, retention, &self.metrics, wait_for_stop(stopped.clone())) => {}
                () = wait_long_after_stop(stopped.clone()) => {}
            }
        };
        let last_writes = async {
            let audit = write_audit(audit_writer, &store, wait_for_stop(stopped.clone()));
            tokio::join!(audit, last_used, last_findings).0
        };
        tokio::select! {
            () = store.sync_directory(
                self.settings.store.listen_url.as_ref().map(Secret::reveal),
                Arc::clone(&self.directory),
                Arc::clone(&self.metrics),
                forget,
            ) => {}
            () = delete_old_audit(self.settings.audit.retention, &store, &self.metrics) => {}
            () = store.measure(&self.metrics) => {}
            () = watch_presence(presence, &self.gateway) => {}
            unrecorded = last_writes => return Ok(unrecorded),
        }
        // The others never end.
        Ok(Unrecorded::default())
    }

    /// The store, once it can be read.
    async fn open(
        &self,
        embedded: Option<EmbeddedUpstream>,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(Store, Option<Presence>), CommandError> {
        let url = self.settings.store.url.reveal();
        let mut presence = self.join(url).await?;
        let store =
            Store::open_when_reachable(&self.settings.store, &self.store_health, &self.metrics).await?;
        // Nobody else sets it.
        let _ = self.store.set(store.clone());
        if let Some(embedded) = embedded {
            embedded.start(&store, stopped.clone());
        }
        while let Err(failure) = self.prepare(&store).await {
            match failure {
                CommandError::Store(error) if error.may_pass() => self.store_health.note_opening(&error),
                other => return Err(other),
            }
            tokio::time::sleep(RETRY).await;
        }
        if let Some(presence) = &mut presence {
            // What is written here must not be hidden by what another gateway keeps.
            presence.wait_until_noticed().await;
        }
        Ok((store, presence))
    }

    /// Comes to a store that is a file, so that others know that they are not alone with it.
    async fn join(&self, url: &str) -> Result<Option<Presence>, CommandError> {
        loop {
            match Presence::join(url).await {
                Err(error) if error.may_pass() => self.store_health.note_opening(&error),
                outcome => return Ok(outcome?),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// All that has to be read from the store, or written to it, before requests can be answered.
    async fn prepare(&self, store: &Store) -> Result<(), CommandError> {
        let config = self.config.as_deref();
        if self.is_embedded {
            // What is made at the first start is in the audit as what anybody makes later.
            let store = &match self.gateway.audit() {
                Some(audit) => store.operated_by(operator::serve(), Some(audit.clone())),
                None => store.clone(),
            };
            welcome::print_demo(store, &self.settings.ownership, &self.base_url, config).await?;
        } else {
            welcome::print_hint(store, config).await?;
        }
        let tenants = store.tenants().await?;
        StampRequired::check(&self.settings, tenants.iter().map(Tenant::name_and_plan))?;
        let cursor_key = Zeroizing::new(store.secret(CURSOR_KEY).await?);
        Ok(self
            .gateway
            .set_cursor_key(&cursor_key)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?)
    }
}

async fn write_audit(
    writer: Option<AuditWriter>,
    store: &Store,
    shutdown: impl Future<Output = ()>,
) -> Unrecorded {
    match writer {
        Some(writer) => writer.run(store, shutdown).await,
        None => {
            shutdown.await;
            Unrecorded::default()
        }
    }
}

/// Keeps replies to reads only while no other gateway has the store's file open. Does not end.
async fn watch_presence(presence: Option<Presence>, gateway: &Gateway) {
    match presence {
        Some(presence) => presence.watch(|is_alone| gateway.set_alone(is_alone)).await,
        None => std::future::pending().await,
    }
}

/// Does not end, as there is always more to forget.
async fn delete_old_audit(retention: Option<Duration>, store: &Store, metrics: &Metrics) {
    match retention {
        Some(retention) => store.keep_audit_for(retention, metrics).await,
        None => std::future::pending().await,
    }
}
