//! `envgate serve`: settings are read, then built into a running gateway.

mod background;
mod budget_tasks;
mod connection_limits;
mod embedded_upstream;
mod file_watch;
pub(super) mod handover;
mod listeners;
mod reload;
mod shutdown;
mod systemd;
mod welcome;

use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use self::background::Background;
use self::budget_tasks::BudgetTasks;
use self::connection_limits::{limit_connections, raise_descriptors, tell_limits};
use self::embedded_upstream::EmbeddedUpstream;
use self::handover::successor::{Meeting, Successor, await_successor};
use self::listeners::{Listeners, open_tls, url_at};
use self::reload::Reloader;
use self::shutdown::{
    CutOff, FINAL_WRITES_TIMEOUT, StopTimes, close_admin, close_store, conclude, end_at_last, second_signal,
    wait_for_stop, wait_long_after_stop,
};
use self::systemd::ServiceStatus;
use super::core_dumps::CoreDumps;
use super::output::{CommandError, print_if_read};
use super::signals::{INTERRUPT, Signals};
use crate::admin::{self, Admin, AdoptionJobs, Reloads, Vitals};
use crate::config::{self, CurrentSettings, Settings};
use crate::contract;
use crate::gateway::{self, Gateway};
use crate::server::{Connections, InheritedListeners, Protocols};
use crate::store::{Audit, AuditWriter, StoreHealth, Unrecorded};
use crate::telemetry::{self, Metrics, RunningLog};
use crate::tenancy::Directory;

/// Threads for SQL, the admin endpoints and the embedded service; the gateway has workers of its own.
const BACKGROUND_THREADS: usize = 2;
/// How long connections to a socket of systemd's may wait for a gateway that is not ready. Longer than a restart takes;
/// what asks for health then hears what it waits for.
const LEFT_WAITING: Duration = Duration::from_secs(5);
/// How often systemd is told that the process waits for something else before it is ready.
const READY_WORD: Duration = Duration::from_secs(5);

pub(super) fn run(config: Option<&Path>, core_dumps: CoreDumps) -> Result<ExitCode, CommandError> {
    // Before there is any other descriptor.
    let inherited = InheritedListeners::take()?;
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
    let outcome = background.block_on(serve(settings, config, inherited, metrics, Arc::clone(&log)));
    // What still hangs there ends with the process, which does not wait for it.
    background.shutdown_background();
    log.flush();
    outcome
}

async fn serve(
    mut settings: Settings,
    config: Option<&Path>,
    inherited: InheritedListeners,
    metrics: Arc<Metrics>,
    log: Arc<RunningLog>,
) -> Result<ExitCode, CommandError> {
    let mut signals = Signals::listen()?;
    let hang_ups = Signals::hang_ups()?;
    let status = ServiceStatus::from_environment();
    let directory = Arc::new(Directory::default());
    metrics.traffic.set_directory(Arc::clone(&directory));
    metrics.set_named_tenants(settings.telemetry.tenants);
    let is_stopping = Arc::new(AtomicBool::new(false));
    let (stop, stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(false);

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
    gateway.set_access_log(log.access());
    let exporting = telemetry::export_spans(Arc::clone(gateway.tracer()), wait_for_stop(stopped.clone()));
    let span_task = tokio::spawn(exporting);
    let attending = Arc::clone(&gateway);
    tokio::spawn(async move { gateway::attend_upstream(&attending).await });

    // Both addresses are there before anything is started or said, so that a fault leaves nothing half done.
    let was_listening = !inherited.is_empty();
    let listeners = Listeners::open(&settings, inherited).await?;
    let estate = listeners.estate(&settings.store.url, Arc::clone(&gateway))?;
    let Listeners {
        listen,
        admin: admin_listener,
        directory: handover_directory,
        mut predecessor,
    } = listeners;
    let tls = open_tls(
        settings.listen.tls.as_ref(),
        Protocols::Http2AndHttp1,
        "listen",
        &metrics,
    )?;
    let admin_tls = open_tls(settings.admin.tls.as_ref(), Protocols::Http1, "admin", &metrics)?;
    let base_url = url_at(listen.local_addr()?, tls.is_some());
    print_if_read(&welcome::format_addresses(
        &base_url,
        &url_at(admin_listener.local_addr()?, admin_tls.is_some()),
        &service.url,
        embedded.is_some(),
    ))?;

    let connections = Connections::new(connection_limits, Some(metrics.connections("listen")));
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
        log: Arc::clone(&log),
    };
    let readiness = vitals.clone();
    gateway.set_readiness(move || readiness.readiness().0);
    let budget_tasks = Arc::new(BudgetTasks::new(stopped.clone()));
    budget_tasks.start(&gateway, &settings)?;
    let reloader = Reloader {
        config: config.map(Path::to_owned),
        settings: current.clone(),
        gateway: Arc::clone(&gateway),
        embedded: embedded.as_ref().map(|embedded| embedded.service.clone()),
        directory: Arc::clone(&directory),
        tls: tls.clone(),
        admin_tls: admin_tls.clone(),
        connections: Arc::clone(&connections),
        descriptors,
        budget_tasks: Arc::clone(&budget_tasks),
        metrics: Arc::clone(&metrics),
        log: Arc::clone(&log),
        is_stopping: Arc::clone(&is_stopping),
        status: status.clone(),
        changing: Mutex::default(),
    };
    tokio::spawn(reload::attend(reloader, hang_ups, reload_requests));
    let is_embedded = embedded.is_some();
    if settings.upstream.is_listed_at_start && !is_embedded {
        let checking = Arc::clone(&gateway);
        tokio::spawn(async move { gateway::check_credentials(&checking).await });
    }
    let opened_store = Arc::clone(&store);
    let background = Background {
        settings: Arc::clone(&settings),
        config: config.map(Path::to_owned),
        base_url,
        is_embedded,
        gateway: Arc::clone(&gateway),
        directory,
        audit_writer,
        metrics: Arc::clone(&metrics),
        store,
        store_health,
    };
    let mut background_task = tokio::spawn(background.run(embedded, stopped.clone()));

    // Who follows another process lets nobody in before it can answer: until then that one does, or connections wait
    // where systemd listens.
    let let_in = async {
        match &mut predecessor {
            Some(predecessor) => predecessor.relieve(&vitals, &gateway).await?,
            None if was_listening => {
                let _ = timeout(LEFT_WAITING, vitals.ready()).await;
            }
            None => {}
        }
        Ok::<_, CommandError>(None)
    };
    let outcome = tokio::select! {
        outcome = let_in => outcome,
        _ = signals.next_stop() => Ok(Some(ExitCode::SUCCESS)),
        ended = &mut background_task => ended_early(ended).map(Some),
    };
    if !matches!(outcome, Ok(None)) {
        close_store(&opened_store).await;
        return outcome.map(Option::unwrap_or_default);
    }
    let running = gateway::start(
        Arc::clone(&gateway),
        listen,
        tls,
        connections,
        settings.server.threads,
    )?;
    let admin_task = tokio::spawn(admin::serve(
        admin_listener,
        admin_tls,
        admin,
        wait_for_stop(admin_stopped),
    ));
    if let Some(predecessor) = predecessor {
        tokio::spawn(predecessor.see_off(Arc::clone(&gateway)));
    }
    let meeting = handover_directory.as_ref().and_then(Meeting::arrange);
    tokio::spawn(status.clone().follow(running.heartbeat()));
    tokio::spawn(tell_when_ready(vitals, status.clone()));

    let reason = {
        let mut successor = pin!(await_successor(meeting, estate));
        tokio::select! {
            signal = signals.next_stop() => StopReason::Signal(signal),
            successor = &mut successor => StopReason::Successor(successor),
            // It ends on its own only where going on would be of no use.
            ended = &mut background_task => {
                close_store(&opened_store).await;
                return ended_early(ended);
            }
        }
    };
    let in_force = current.load();
    let times = StopTimes::new(&in_force, reason.delay(&in_force));
    status.tell_stopping(times.longest());
    let mut telling = JoinSet::new();
    match reason {
        StopReason::Signal(signal) => {
            is_stopping.store(true, Ordering::Relaxed);
            tracing::info!(
                signal,
                drain_delay_seconds = times.delay.as_secs_f64(),
                "stopping: what is in flight may finish; a second signal cuts it off"
            );
        }
        StopReason::Successor(successor) => {
            tracing::info!(
                pid = successor.pid(),
                "stopping: another process serves; what is in flight may finish"
            );
            // Whoever still asks here should not think that nobody serves at these addresses.
            let _ = stop_admin.send(true);
            telling.spawn(successor.tell_kept(wait_for_stop(stopped.clone())));
        }
    }
    end_at_last(log.clone(), times.longest())?;
    let is_hurried = Arc::new(AtomicBool::new(false));
    let hurry = second_signal(signals, Arc::clone(&is_hurried), log).shared();
    if !times.delay.is_zero() {
        let _ = timeout(times.delay, hurry.clone()).await;
    }
    let deadline = timeout(times.in_flight, hurry).map(drop).shared();
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
    // It is told the end of this process by the end of the connection, so that is kept.
    let last_words = telling.join_all();
    let last_writes = async { tokio::join!(background_task, goodbye, last_words, span_task) };
    let (unrecorded, _successor) = match timeout(FINAL_WRITES_TIMEOUT, last_writes).await {
        Ok((ended, (), successor, _)) => (Some(ended.map_err(std::io::Error::other)??), successor),
        Err(_elapsed) => (None, Vec::new()),
    };
    close_admin(admin_task, stop_admin).await;
    close_store(&opened_store).await;
    Ok(conclude(cut_off, unrecorded, is_hurried.load(Ordering::Relaxed)))
}

/// Why the process stops.
enum StopReason {
    /// The name of a signal.
    Signal(&'static str),
    /// Another process has taken over.
    Successor(Successor),
}

impl StopReason {
    /// How long to go on serving: whoever stops it by hand does not want to wait, and where another process serves
    /// there is nothing to wait for.
    fn delay(&self, settings: &Settings) -> Duration {
        match self {
            Self::Signal(INTERRUPT) | Self::Successor(_) => Duration::ZERO,
            Self::Signal(_) => settings.server.drain_delay,
        }
    }
}

/// What becomes of a process whose background has ended on its own.
fn ended_early(ended: Result<Result<Unrecorded, CommandError>, JoinError>) -> Result<ExitCode, CommandError> {
    ended.map_err(std::io::Error::other)?.map(|_| ExitCode::FAILURE)
}

/// Tells systemd when requests are answered, and until then that it should wait for that.
async fn tell_when_ready(vitals: Vitals, status: ServiceStatus) {
    while let Err(_elapsed) = timeout(READY_WORD, vitals.ready()).await {
        let (readiness, why) = vitals.readiness();
        let why = if why.is_empty() { readiness.word } else { &why };
        status.tell_waiting(why, READY_WORD * 3);
    }
    if !vitals.is_stopping.load(Ordering::Relaxed) {
        tracing::info!("requests are answered");
        status.tell_ready();
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
