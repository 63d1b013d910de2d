//! `envgate serve`: settings are read, then built into a running gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::background::Background;
use super::budget_tasks::BudgetTasks;
use super::connection_limits::{limit_connections, raise_descriptors, tell_limits};
use super::core_dumps::CoreDumps;
use super::embedded_upstream::{EmbeddedUpstream, bind};
use super::output::{CommandError, print_if_read};
use super::reload::{self, Reloader};
use super::shutdown::{
    CutOff, FINAL_WRITES_TIMEOUT, close_store, conclude, drain_deadline, end_at_last, wait_for_stop,
    wait_long_after_stop,
};
use super::signals::Signals;
use super::welcome;
use crate::admin::{self, Admin, AdoptionJobs, Reloads, Vitals};
use crate::config::{self, CurrentSettings, ServerTls, Settings};
use crate::contract;
use crate::gateway::{self, Gateway};
use crate::server::{self, Connections, Protocols, TlsListener};
use crate::store::{Audit, AuditWriter, StoreHealth};
use crate::telemetry::{self, Metrics, RunningLog};
use crate::tenancy::Directory;

/// Threads for SQL, the admin endpoints and the embedded service; the gateway has workers of its own.
const BACKGROUND_THREADS: usize = 2;

pub(super) fn run(config: Option<&Path>, core_dumps: CoreDumps) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    if settings.server.allows_core_dumps {
        core_dumps.allow();
    }
    contract::prove_schemas()?;
    let metrics = Arc::new(Metrics::new()?);
    let log = Arc::new(telemetry::start_log(
        &settings.log,
        metrics.log_lines_lost.clone(),
    )?);
    for advice in settings.advice() {
        tracing::warn!("{advice}");
    }
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
    mut settings: Settings,
    config: Option<&Path>,
    metrics: Arc<Metrics>,
    log: Arc<RunningLog>,
) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::listen()?;
    let hang_ups = Signals::hang_ups()?;
    let directory = Arc::new(Directory::default());
    let is_stopping = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = watch::channel(false);

    let (service, embedded) = match settings.upstream.service.clone() {
        Some(service) => (service, None),
        None => EmbeddedUpstream::bind().map(|embedded| (embedded.service.clone(), Some(embedded)))?,
    };
    let descriptors = raise_descriptors();
    let connection_limits = limit_connections(&mut settings, descriptors);
    tell_limits(&connection_limits, descriptors);
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
    let tls = open_tls(
        settings.listen.tls.as_ref(),
        Protocols::Http2AndHttp1,
        "listen",
        &metrics,
    )?;
    let admin_tls = open_tls(settings.admin.tls.as_ref(), Protocols::Http1, "admin", &metrics)?;
    let base_url = url_at(listener.local_addr()?, tls.is_some());
    print_if_read(&welcome::format_addresses(
        &base_url,
        &url_at(admin_listener.local_addr()?, admin_tls.is_some()),
        &service.url,
        embedded.is_some(),
    ))?;

    let connections = Connections::new(connection_limits, Some(metrics.connections("listen")));
    let running = gateway::start(
        Arc::clone(&gateway),
        listener,
        tls.clone(),
        Arc::clone(&connections),
        settings.server.threads,
    )?;
    let store = Arc::new(OnceLock::new());
    let store_health = Arc::new(StoreHealth::default());
    let current = CurrentSettings::new(settings.clone());
    let settings = Arc::new(settings);
    let adoptions = AdoptionJobs::default();
    let (reloads, reload_requests) = Reloads::channel();
    let vitals = Vitals {
        metrics: Arc::clone(&metrics),
        directory: Arc::clone(&directory),
        settings: current.clone(),
        store_health: Arc::clone(&store_health),
        is_stopping: Arc::clone(&is_stopping),
    };
    let admin = Admin {
        adoptions: adoptions.clone(),
        metrics: Arc::clone(&metrics),
        settings: current.clone(),
        store: Arc::clone(&store),
        gateway: Arc::clone(&gateway),
        vitals: vitals.clone(),
        reloads,
    };
    gateway.set_readiness(move || vitals.readiness().0);
    let budget_tasks = Arc::new(BudgetTasks::new(stopped.clone()));
    budget_tasks.start(&gateway, &settings)?;
    let reloader = Reloader {
        config: config.map(Path::to_owned),
        settings: current,
        gateway: Arc::clone(&gateway),
        embedded: embedded.as_ref().map(|embedded| embedded.service.clone()),
        directory: Arc::clone(&directory),
        tls,
        admin_tls: admin_tls.clone(),
        connections,
        descriptors,
        budget_tasks: Arc::clone(&budget_tasks),
        metrics: Arc::clone(&metrics),
        log: Arc::clone(&log),
        is_stopping: Arc::clone(&is_stopping),
        changing: Mutex::default(),
    };
    tokio::spawn(reload::attend(reloader, hang_ups, reload_requests));
    tokio::spawn(admin::serve(
        admin_listener,
        admin_tls,
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
            () = budget_tasks.join_all() => {}
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

/// TLS of an address, if the settings want it; its files are followed from now on.
fn open_tls(
    settings: Option<&ServerTls>,
    protocols: Protocols,
    address: &'static str,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<TlsListener>>, CommandError> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let tls = Arc::new(TlsListener::new(settings.clone(), protocols)?);
    let (following, metrics) = (Arc::clone(&tls), Arc::clone(metrics));
    tokio::spawn(async move { metrics.certificates.follow(address, following).await });
    Ok(Some(tls))
}

fn url_at(address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
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
