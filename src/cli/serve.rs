//! `envgate serve`: settings are read, then built into a running gateway.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::output::{CommandError, print_if_read};
use super::shutdown::{
    CutOff, FINAL_WRITES_TIMEOUT, close_store, conclude, drain_deadline, end_at_last, wait_for_stop,
    wait_long_after_stop,
};
use super::signals::Signals;
use super::welcome;
use crate::admin::{self, Admin, AdoptionJobs};
use crate::config::{self, Secret, Settings, UpstreamService, UpstreamUrl};
use crate::contract;
use crate::embedded;
use crate::environment::EnvironmentId;
use crate::gateway::{self, Gateway};
use crate::quota::RedisBudget;
use crate::server::{self, Connections, DescriptorLimit};
use crate::store::{Audit, AuditWriter, Presence, Store, StoreError, StoreHealth, Unrecorded};
use crate::telemetry::{self, Metrics, RunningLog};
use crate::tenancy::{Directory, KeyText, StampRequired, Tenant};
use crate::upstream::CONNECT_TIMEOUT;

/// Threads for SQL, the admin endpoints and the embedded service; the gateway has workers of its own.
const BACKGROUND_THREADS: usize = 2;
/// What a word from Redis may take, on top of what it allows.
const ROUND_TRIP: Duration = Duration::from_secs(1);
/// How long to wait before a store that does not answer is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// The secret of the store that page cursors are sealed with.
const CURSOR_KEY: &str = "page_cursor";

pub(super) fn run(config: Option<&Path>) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    contract::prove_schemas()?;
    let metrics = Arc::new(Metrics::new()?);
    let log = Arc::new(telemetry::start_log(
        &settings.log,
        metrics.log_lines_lost.clone(),
    )?);
    let background = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(BACKGROUND_THREADS)
        .thread_name("background")
        .enable_all()
        .build()?;
    let outcome = background.block_on(serve(settings, config, metrics, Arc::clone(&log)));
    // What still hangs there ends with the process, which does not wait for it.
    background.shutdown_background();
    log.flush();
    outcome
}

async fn serve(
    settings: Settings,
    config: Option<&Path>,
    metrics: Arc<Metrics>,
    log: Arc<RunningLog>,
) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::listen()?;
    let directory = Arc::new(Directory::default());
    let is_stopping = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = watch::channel(false);

    let (service, embedded) = match settings.upstream.service.clone() {
        Some(service) => (service, None),
        None => Embedded::bind().map(|embedded| (embedded.service.clone(), Some(embedded)))?,
    };
    let (audit, audit_writer) = open_audit(&settings, &metrics)?;
    let gateway = Gateway::new(
        &settings,
        &service,
        Arc::clone(&directory),
        audit,
        Arc::clone(&metrics),
    )?;
    let gateway = Arc::new(gateway);
    let attending = Arc::clone(&gateway);
    tokio::spawn(async move { gateway::attend_upstream(&attending).await });

    // Both addresses are bound before anything is started or said, so that a fault leaves nothing half done.
    let listener = server::bind(settings.listen.address)?;
    let admin_listener = bind(settings.admin.address)?;
    let base_url = format!("http://{}", listener.local_addr()?);
    print_if_read(&welcome::format_addresses(
        &base_url,
        admin_listener.local_addr()?,
        &service.url,
        embedded.is_some(),
    ))?;

    let connections = Connections::new(max_connections(&settings), Some(metrics.connections("listen")));
    let running = gateway::start(
        Arc::clone(&gateway),
        listener,
        connections,
        settings.server.threads,
    )?;
    let store = Arc::new(OnceLock::new());
    let store_health = Arc::new(StoreHealth::default());
    let settings = Arc::new(settings);
    let adoptions = AdoptionJobs::default();
    let admin = Admin {
        adoptions: adoptions.clone(),
        metrics: Arc::clone(&metrics),
        directory: Arc::clone(&directory),
        settings: Arc::clone(&settings),
        store: Arc::clone(&store),
        store_health: Arc::clone(&store_health),
        gateway: Arc::clone(&gateway),
        is_stopping: Arc::clone(&is_stopping),
    };
    let sharing = share_budgets(&gateway, &settings, &stopped)?;
    tokio::spawn(admin::serve(
        admin_listener,
        admin,
        wait_for_stop(stopped.clone()),
    ));

    let is_embedded = embedded.is_some();
    if settings.upstream.is_listed_at_start && !is_embedded {
        let checking = Arc::clone(&gateway);
        tokio::spawn(async move { gateway::check_credentials(&checking).await });
    }
    let opened_store = Arc::clone(&store);
    let background = Background {
        settings,
        config: config.map(Path::to_owned),
        base_url,
        is_embedded,
        gateway,
        directory,
        audit_writer,
        metrics,
        store,
        store_health,
    };
    let mut background_task = tokio::spawn(background.run(embedded, stopped.clone()));

    let signal = tokio::select! {
        signal = signals.next_stop() => signal,
        // It ends on its own only where going on would be of no use.
        ended = &mut background_task => {
            close_store(&opened_store).await;
            return ended.map_err(std::io::Error::other)?.map(|_| ExitCode::FAILURE);
        }
    };
    is_stopping.store(true, Ordering::Relaxed);
    tracing::info!(
        signal,
        "stopping: what is in flight may finish; a second signal cuts it off"
    );
    end_at_last(log.clone())?;
    let is_hurried = Arc::new(AtomicBool::new(false));
    let deadline = drain_deadline(signals, Arc::clone(&is_hurried), log).shared();
    let (requests, adoptions) = tokio::join!(running.stop(deadline.clone()), adoptions.stop(deadline));
    let cut_off = CutOff { requests, adoptions };
    let _ = stop.send(true);
    // What the store is still to be told is worth a moment, but not a wait for one that does not answer.
    let goodbye = async {
        tokio::select! {
            _ = sharing.join_all() => {}
            () = wait_long_after_stop(stopped) => {}
        }
    };
    let last_writes = async { tokio::join!(background_task, goodbye).0 };
    let unrecorded = match tokio::time::timeout(FINAL_WRITES_TIMEOUT, last_writes).await {
        Ok(ended) => Some(ended.map_err(std::io::Error::other)??),
        Err(_elapsed) => None,
    };
    close_store(&opened_store).await;
    Ok(conclude(cut_off, unrecorded, is_hurried.load(Ordering::Relaxed)))
}

/// How many connections of clients may be open, with as many descriptors as the system allows.
fn max_connections(settings: &Settings) -> usize {
    let limit = DescriptorLimit::raise().unwrap_or_else(|(limit, error)| {
        tracing::warn!(%error, "the limit of descriptors cannot be raised");
        limit
    });
    let asked = settings.listen.max_connections;
    let max_connections = limit.connections(asked);
    if asked.is_some_and(|asked| asked > max_connections) {
        tracing::warn!(
            asked,
            max_connections,
            descriptors = limit.raised,
            "there are too few descriptors for as many connections as listen.max_connections allows"
        );
    }
    tracing::info!(
        max_connections,
        descriptors = limit.raised,
        descriptors_inherited = limit.inherited,
        "how many connections of clients may be open"
    );
    max_connections
}

/// Lets the budgets run, together with those of other replicas where they count in Redis.
fn share_budgets(
    gateway: &Gateway,
    settings: &Settings,
    stopped: &watch::Receiver<bool>,
) -> Result<JoinSet<()>, CommandError> {
    let mut sharing = JoinSet::new();
    for budget in gateway.budgets() {
        tokio::spawn(Arc::clone(budget).run());
        if let Some(redis) = &settings.quota.redis {
            let lease = settings.upstream.timeout + ROUND_TRIP;
            let limits = budget.shared_limits(
                settings.quota.replicas,
                lease,
                CONNECT_TIMEOUT + ROUND_TRIP,
                settings.quota.alone_for,
            );
            let redis = RedisBudget::new(redis.reveal(), budget.name(), limits)?;
            sharing.spawn(Arc::clone(budget).share(redis, wait_for_stop(stopped.clone())));
        }
    }
    Ok(sharing)
}

/// What goes on beside the requests: the store is opened, however long that takes, and followed.
struct Background {
    settings: Arc<Settings>,
    config: Option<PathBuf>,
    base_url: String,
    is_embedded: bool,
    gateway: Arc<Gateway>,
    directory: Arc<Directory>,
    audit_writer: Option<AuditWriter>,
    metrics: Arc<Metrics>,
    /// Where the admin API finds the store once it is open.
    store: Arc<OnceLock<Store>>,
    store_health: Arc<StoreHealth>,
}

impl Background {
    async fn run(
        mut self,
        embedded: Option<Embedded>,
        stopped: watch::Receiver<bool>,
    ) -> Result<Unrecorded, CommandError> {
        let opened = tokio::select! {
            opened = self.open(embedded, &stopped) => opened,
            // Nobody was let in.
            () = wait_for_stop(stopped.clone()) => return Ok(Unrecorded::default()),
        };
        let (store, presence) = opened?;
        let forget = |ids: &[EnvironmentId]| gateway::forget_owners(&self.gateway, ids);
        let audit_writer = self.audit_writer.take();
        let last_used = async {
            tokio::select! {
                () = store.record_last_used(&self.directory, &self.metrics, wait_for_stop(stopped.clone())) => {}
                () = wait_long_after_stop(stopped.clone()) => {}
            }
        };
        let last_writes = async {
            let audit = write_audit(audit_writer, &store, wait_for_stop(stopped.clone()));
            tokio::join!(audit, last_used).0
        };
        tokio::select! {
            () = store.sync_directory(
                self.settings.store.listen_url(),
                Arc::clone(&self.directory),
                Arc::clone(&self.metrics),
                forget,
            ) => {}
            () = delete_old_audit(self.settings.audit.retention, &store, &self.metrics) => {}
            () = watch_presence(presence, &self.gateway) => {}
            unrecorded = last_writes => return Ok(unrecorded),
        }
        // The others never end.
        Ok(Unrecorded::default())
    }

    /// The store, once it can be read.
    async fn open(
        &self,
        embedded: Option<Embedded>,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(Store, Option<Presence>), CommandError> {
        let url = self.settings.store.url.reveal();
        let mut presence = self.join(url).await?;
        let store = Store::open_when_reachable(url, &self.store_health, &self.metrics).await?;
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
            welcome::print_demo(store, &self.settings.ownership, &self.base_url, config).await?;
        } else {
            welcome::print_hint(store, config).await?;
        }
        let tenants = store.tenants().await?;
        StampRequired::check(&self.settings, tenants.iter().map(Tenant::name_and_plan))?;
        let cursor_key = store.secret(CURSOR_KEY).await?;
        Ok(self
            .gateway
            .set_cursor_key(&cursor_key)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?)
    }
}

/// The audit and its writer, if the settings want one.
fn open_audit(
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> std::io::Result<(Option<Audit>, Option<AuditWriter>)> {
    if !settings.audit.is_enabled {
        return Ok((None, None));
    }
    let (audit, writer) = Audit::open(&settings.audit, &settings.ownership.stamp_key, metrics)?;
    Ok((Some(audit), Some(writer)))
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

/// The embedded environments service, bound to a loopback port of its own but not started.
struct Embedded {
    listener: TcpListener,
    service: UpstreamService,
}

impl Embedded {
    fn bind() -> Result<Self, CommandError> {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        // Nobody but this process ever needs the credential, so a new one is made at every start.
        let credential = KeyText::generate().map_err(StoreError::from)?;
        let url = UpstreamUrl {
            is_tls: false,
            host: address.ip().to_string(),
            port: address.port(),
            path_prefix: String::new(),
        };
        let credential = Secret::new(credential.reveal().to_owned());
        Ok(Self {
            listener,
            service: UpstreamService { url, credential },
        })
    }

    fn start(self, store: &Store, stopped: watch::Receiver<bool>) {
        tokio::spawn(embedded::serve(
            self.listener,
            store.clone(),
            self.service.credential,
            wait_for_stop(stopped),
        ));
    }
}

/// Binds an address for what runs beside the gateway; the error names it where that fails.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = server::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
