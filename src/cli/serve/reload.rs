//! Settings are read again while the gateway runs: checked whole first, refused whole if anything is wrong, and
//! put in force between two requests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::budget_tasks::BudgetTasks;
use super::connection_limits::limit_connections;
use super::file_watch::SettingsWatch;
use super::systemd::ServiceStatus;
use crate::admin::{Reload, ReloadRejection, ReloadRequest};
use crate::config::{
    self, ConfigErrors, CredentialFile, CurrentSettings, Secret, ServerTls, SettingChange, Settings,
    UpstreamService,
};
use crate::gateway::{Gateway, PreparedConfiguration};
use crate::server::{ConnectionLimits, Connections, DescriptorLimit, PreparedTls, TlsListener};
use crate::store::{AuditOperation, Operator};
use crate::telemetry::{Metrics, RunningLog};
use crate::tenancy::{Directory, SharedCredentials};

/// Who acts where a file has changed: nobody knows who changed it.
const CHANGED_FILE: &str = "a changed file";
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// All that goes by the settings.
pub(super) struct Reloader {
    /// The file of the settings; none where the compiled-in text holds.
    pub(super) config: Option<PathBuf>,
    pub(super) settings: CurrentSettings,
    pub(super) gateway: Arc<Gateway>,
    /// The embedded environments service, where that is the upstream.
    pub(super) embedded: Option<UpstreamService>,
    pub(super) directory: Arc<Directory>,
    pub(super) tls: Option<Arc<TlsListener>>,
    pub(super) admin_tls: Option<Arc<TlsListener>>,
    pub(super) connections: Arc<Connections>,
    pub(super) descriptors: DescriptorLimit,
    pub(super) budget_tasks: Arc<BudgetTasks>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Arc<RunningLog>,
    pub(super) is_stopping: Arc<AtomicBool>,
    pub(super) status: ServiceStatus,
    /// Whoever changes what is in force is alone with it.
    pub(super) changing: Mutex<()>,
}

/// What was read, checked, and can be put in force.
struct Prepared {
    settings: Settings,
    changes: Vec<SettingChange>,
    configuration: PreparedConfiguration,
    limits: ConnectionLimits,
    tls: Option<PreparedTls>,
    admin_tls: Option<PreparedTls>,
}

/// What the file of a credential held.
#[derive(PartialEq, Eq)]
struct Seen {
    file: CredentialFile,
    key: Secret,
}

/// Reads the settings again whenever the process is told to, or whoever may asks for it over the admin API, or
/// their file changes and they want that; one after the other. The files of credentials are followed too. Does
/// not end.
pub(super) async fn attend(reloader: Reloader, hang_ups: Signal, asked: mpsc::Receiver<ReloadRequest>) {
    let reloader = &Arc::new(reloader);
    // Beside each other: a file system that hangs must not keep anybody from what needs none of it.
    tokio::join!(
        reload_when_asked(reloader, hang_ups, asked),
        follow_files(reloader),
        follow_credentials(reloader),
    );
}

async fn reload_when_asked(
    reloader: &Arc<Reloader>,
    mut hang_ups: Signal,
    mut asked: mpsc::Receiver<ReloadRequest>,
) {
    loop {
        tokio::select! {
            Some(()) = hang_ups.recv() => {
                // It was told to the log, and there is nobody else to tell.
                let _ = reloader.reload(false, by("SIGHUP")).await;
            }
            Some(ReloadRequest { is_dry_run, operator, answer }) = asked.recv() => {
                let outcome = reloader.reload(is_dry_run, operator).await;
                // Whoever asked may be gone.
                let _ = answer.send(outcome);
            }
            else => return,
        }
    }
}

/// Reads the settings again when their file or their folder of schemas has changed, while they say so.
async fn follow_files(reloader: &Arc<Reloader>) {
    let mut watches = SettingsWatch::default();
    let mut looks = looks();
    loop {
        looks.tick().await;
        let settings = reloader.settings.load();
        if !settings.server.reloads_on_change {
            watches = SettingsWatch::default();
            continue;
        }
        let file = reloader.config.clone();
        let looking = spawn_blocking(move || {
            let folder = settings.contract.schema_folder.as_ref();
            let is_changed = watches.look(file.as_deref(), folder);
            (watches, is_changed)
        });
        let is_changed;
        (watches, is_changed) = looking.await.unwrap_or_default();
        if is_changed {
            let _ = reloader.reload(false, by(CHANGED_FILE)).await;
        }
    }
}

/// Takes credentials over that their files have anew. A request that the upstream has refused its credential may
/// wait for that.
async fn follow_credentials(reloader: &Arc<Reloader>) {
    // What a file held at the look before, and nobody has taken over.
    let mut unsettled = Vec::new();
    let mut looks = looks();
    loop {
        looks.tick().await;
        let look = reloader.gateway.credential_watch().look();
        let (reading, is_urgent) = (Arc::clone(reloader), look.is_urgent);
        let looking = spawn_blocking(move || reading.read_credentials(&unsettled, is_urgent));
        unsettled = looking.await.unwrap_or_default();
        drop(look);
    }
}

/// Whoever has settings read again without saying who they are.
fn by(name: &str) -> Operator {
    Operator {
        name: name.to_owned(),
        client_address: None,
    }
}

fn looks() -> Interval {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

impl Reloader {
    /// Reads the settings again and puts them in force, or only says what that would change. Says so to log and
    /// metrics too.
    async fn reload(
        self: &Arc<Self>,
        is_dry_run: bool,
        operator: Operator,
    ) -> Result<Reload, ReloadRejection> {
        if !is_dry_run {
            self.status.tell_reloading();
        }
        let reloading = Arc::clone(self);
        let outcome = spawn_blocking(move || reloading.read_and_apply(is_dry_run)).await;
        // A panic has been told on standard error.
        let outcome = outcome.unwrap_or_else(|_| Err(rejection("an internal error of the gateway")));
        if !is_dry_run {
            self.tell(&outcome);
            self.status.tell_reloaded();
        }
        if let Ok(reload) = &outcome
            && reload.outcome() == "applied"
        {
            self.record(&operator, reload.changes_in_force());
        }
        outcome
    }

    /// Notes for the audit what is in force from now on, and by whom.
    fn record(&self, operator: &Operator, changes: Value) {
        let Some(audit) = self.gateway.audit() else {
            return;
        };
        if let Err(error) = audit.record_admin(operator, AuditOperation::Reload, Some(changes)) {
            tracing::error!(%error, "the audit does not have that settings were read again");
        }
    }

    fn read_and_apply(&self, is_dry_run: bool) -> Result<Reload, ReloadRejection> {
        // One after the other, and none while credentials are taken over.
        let _alone = self.changing.lock();
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err(rejection("the gateway is stopping"));
        }
        let read = config::from_process(self.config.as_deref()).map_err(of_settings)?;
        let prepared = self.prepare(read)?;
        let reload = Reload {
            changes: prepared.changes.clone(),
            is_dry_run,
        };
        if !is_dry_run && reload.is_changing() {
            self.put_in_force(prepared);
        }
        Ok(reload)
    }

    /// All that can go wrong, before anything has changed.
    fn prepare(&self, read: Settings) -> Result<Prepared, ReloadRejection> {
        let running = self.settings.load();
        let changes = running.changes_to(&read);
        if running.upstream.service.is_some() != read.upstream.service.is_some() {
            return Err(rejection(
                "upstream.url: to go over to the embedded environments service, or from it to another, needs a restart",
            ));
        }
        let mut settings = read.taken_over_by(&running);
        let limits = limit_connections(&mut settings, self.descriptors);
        let sharing = |settings: &Settings| SharedCredentials::find(settings, &self.directory).count();
        if sharing(&settings) > sharing(&running) {
            return Err(rejection(
                "ownership.stamp is off, and tenants would share a credential: nobody could tell their environments \
                 apart",
            ));
        }
        Ok(Prepared {
            configuration: self.prepare_configuration(&settings)?,
            tls: prepare_tls(self.tls.as_deref(), settings.listen.tls.as_ref())?,
            admin_tls: prepare_tls(self.admin_tls.as_deref(), settings.admin.tls.as_ref())?,
            settings,
            changes,
            limits,
        })
    }

    fn prepare_configuration(&self, settings: &Settings) -> Result<PreparedConfiguration, ReloadRejection> {
        let service = settings.upstream.service.as_ref().or(self.embedded.as_ref());
        let service = service.ok_or_else(|| rejection("there is no upstream"))?;
        self.gateway.prepare(settings, service).map_err(rejection)
    }

    /// From here on nothing fails. Must be called where blocking is allowed.
    fn put_in_force(&self, prepared: Prepared) {
        let settings = prepared.settings;
        // Of an upstream that is new, so that no request waits for it.
        Handle::current().block_on(prepared.configuration.resolve());
        // What was set by way of the admin API holds until the settings want something else than they did.
        if settings.log.level != self.settings.load().log.level
            && let Err(error) = self.log.set_level(&settings.log.level, None)
        {
            tracing::warn!(%error, "the level of the log stays as it was");
        }
        self.connections.set_limits(prepared.limits);
        for (listener, prepared) in [(&self.tls, prepared.tls), (&self.admin_tls, prepared.admin_tls)] {
            if let (Some(listener), Some(prepared)) = (listener, prepared) {
                listener.put_in_force(prepared);
            }
        }
        self.gateway.put_in_force(prepared.configuration);
        if let Err(error) = self.budget_tasks.start(&self.gateway, &settings) {
            tracing::error!(%error, "a new budget is not shared with other replicas");
        }
        self.metrics.set_named_tenants(settings.telemetry.tenants);
        self.settings.replace(settings);
    }

    /// Takes over what the files of credentials hold anew: once two looks have seen the same, for a file may be
    /// written in parts, or at once where that is urgent. Gives back what was seen and not taken over.
    fn read_credentials(&self, unsettled: &[Seen], is_urgent: bool) -> Vec<Seen> {
        let files = self.settings.load().credential_files.clone();
        let seen: Vec<_> = files
            .into_iter()
            // One that cannot be read now is as it was; whoever reads all settings again is told why.
            .filter_map(|file| {
                Some(Seen {
                    key: file.read().ok()?,
                    file,
                })
            })
            .collect();
        let _alone = self.changing.lock();
        let running = self.settings.load();
        let is_new = |seen: &Seen| {
            running.credential_files.contains(&seen.file)
                && running
                    .credential(seen.file.name.as_deref())
                    .is_some_and(|known| *known != seen.key)
        };
        let (settled, rest): (Vec<_>, Vec<_>) = seen
            .into_iter()
            .filter(is_new)
            .partition(|seen| is_urgent || unsettled.contains(seen));
        if settled.is_empty() {
            return rest;
        }
        let mut settings = (*running).clone();
        for Seen { file, key } in &settled {
            settings.set_credential(file.name.as_deref(), key.clone());
        }
        match self.prepare_configuration(&settings) {
            Ok(configuration) => {
                self.gateway.put_in_force(configuration);
                self.settings.replace(settings);
                for Seen { file, .. } in &settled {
                    let (credential, file) = (file.name.as_deref(), file.path.display());
                    tracing::info!(credential, %file, "another credential is in use, the one that its file holds now");
                    let setting = match credential {
                        Some(name) => format!("credentials.{name}.key"),
                        None => "upstream.credential".to_owned(),
                    };
                    let change = json!([{ "setting": setting, "secret": true }]);
                    self.record(&by(CHANGED_FILE), change);
                }
            }
            Err(rejection) => tracing::error!(%rejection, "a credential stays as it was"),
        }
        rest
    }

    fn tell(&self, outcome: &Result<Reload, ReloadRejection>) {
        match outcome {
            Ok(reload) => {
                self.metrics.record_reload(reload.outcome());
                let join = |settings: Vec<&str>| settings.join(", ");
                tracing::info!(
                    outcome = reload.outcome(),
                    changed = join(reload.settings(false).collect()),
                    needs_restart = join(reload.settings(true).collect()),
                    "the settings were read again"
                );
                for advice in self.settings.load().advice() {
                    tracing::warn!("{advice}");
                }
            }
            Err(rejection) => {
                self.metrics.record_reload("refused");
                for fault in &rejection.faults {
                    tracing::error!(
                        fault,
                        "the settings were read again and are wrong; those from before stay"
                    );
                }
            }
        }
    }
}

fn prepare_tls(
    listener: Option<&TlsListener>,
    settings: Option<&ServerTls>,
) -> Result<Option<PreparedTls>, ReloadRejection> {
    match (listener, settings) {
        (Some(listener), Some(settings)) => listener.prepare(settings.clone()).map(Some).map_err(rejection),
        _ => Ok(None),
    }
}

fn rejection(fault: impl ToString) -> ReloadRejection {
    ReloadRejection {
        faults: vec![fault.to_string()],
    }
}

fn of_settings(errors: ConfigErrors) -> ReloadRejection {
    ReloadRejection {
        faults: errors.iter().map(ToString::to_string).collect(),
    }
}
