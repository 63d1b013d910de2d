//! The way of a request, in order. The only room that knows Pingora.
//!
//! An operation is one straight-line exchange on Pingora's sessions, fed by an accept loop of our own.
//! The phases of its proxy lose a body over 64 KiB that was read early, cannot change a status once a header
//! went out, do not see an upstream error without a body, and answer malformed heads themselves; its listener
//! can neither count connections before their handshake nor give their memory back.
//!
//! | what | where |
//! |---|---|
//! | listening, and the threads that serve | `listener`, `workers` |
//! | what a client speaks | `protocol` |
//! | the border to Pingora: a connection, the stream beneath it, and what may come through it | `connection`, `stream`, `framing`; of HTTP/2, `http2` |
//! | the way itself, step by step | `exchange`, of which `judge` needs no socket, and which no panic leaves (`panics`); `dry_run` is the way without a socket, for whoever counts what it costs |
//! | who asks: what balancers say, before a connection and in a header | `proxy_header`; `client_address`, `forwarded` |
//! | for how long, how many, and how often | `lifetime`; `in_flight`; `unknown_keys` |
//! | what a request is, as it comes in | `request` |
//! | what holds for a request, swapped where settings are read again: `configuration`; the plans, and what their requests go up with | `plans`, `planned_budgets`; what all that is remembered belongs to, `identity`; another key where the upstream refuses one, `credential_watch` |
//! | whose an environment is | `ownership`; `list` picks the caller's, `adopt` makes one a tenant's |
//! | what a plan allows | `policy`; one update or adoption of an environment after the other, `locks` |
//! | the upstream, with a slot in the budget, or by way of what others read | `upstream_session` and its `delivery`, `shared_reads` |
//! | what the gateway asks the upstream itself | `probe` |
//! | the client meanwhile | `client_disconnect` |
//! | a reply of the upstream as it came, read once, and looked at whether it is what the contract says | `received_reply` |
//! | who is not a tenant: balancers and browsers | `health`, `cors` |
//! | the reply, and the answer that it becomes | `response`, written by `write` at the `pace` of its client; `unread_answers` bounds what waits |
//! | what stays of a request | `request_log`; where it is traced, `spans`; of a write, `audit`; of one that only the upstream refused, `contract_refusals` |

mod adopt;
mod audit;
mod client_address;
mod client_disconnect;
mod configuration;
mod connection;
mod contract_refusals;
mod cors;
mod credential_watch;
mod delivery;
mod dry_run;
mod exchange;
mod forwarded;
mod framing;
mod health;
mod http2;
mod identity;
mod in_flight;
mod judge;
mod lifetime;
mod list;
mod listener;
mod locks;
mod ownership;
mod pace;
mod panics;
mod planned_budgets;
mod plans;
mod policy;
mod probe;
mod protocol;
mod proxy_header;
mod received_reply;
mod request;
mod request_log;
mod response;
mod server_timing;
mod shared_reads;
mod spans;
mod stream;
mod unknown_keys;
mod unread_answers;
mod upstream_session;
mod workers;
mod write;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use self::configuration::Configuration;
use self::health::ReadinessCheck;
use self::list::UnfinishedLists;
use self::locks::KeyedLocks;
use self::ownership::Owners;
use self::policy::UpdateLocks;
use self::shared_reads::SharedReads;
use self::unknown_keys::UnknownKeys;
use self::unread_answers::UnreadAnswers;
use crate::config::{Settings, UpstreamService};
use crate::environment::EnvironmentId;
use crate::quota::LiveBudget;
use crate::store::Audit;
use crate::telemetry::{AccessLog, DriftWatch, Metrics, SlowLog, Tracer};
use crate::tenancy::Directory;
use crate::text::CursorError;
use crate::upstream::SetUpError;

pub use adopt::{adopt, forget_owners};
pub use credential_watch::{CredentialWatch, Look};
#[doc(hidden)]
pub use dry_run::{DryAnswer, DryGateway, DryRun};
pub use framing::{JudgedRequests, judge_bytes};
pub use health::Readiness;
pub use listener::{Running, start};
pub use probe::{attend_upstream, check_credentials};
pub use workers::Heartbeat;

/// What a gateway can go by from the next request on.
pub struct PreparedConfiguration(Configuration);

impl PreparedConfiguration {
    /// Looks the upstream's name up where that was never done, so that no request has to wait for it.
    pub async fn resolve(&self) {
        self.0.origin.resolve_first().await;
    }
}

/// All that requests share: one for the process, used by every worker. It is state and nothing else; what is
/// done with it is an exchange's business.
///
/// What lasts stands here itself. What follows from the settings is swapped as a whole where they are read
/// again: each request takes it once, when it begins, and goes by it to its end.
pub struct Gateway {
    current: ArcSwap<Configuration>,
    /// Told of each swap.
    swapped: watch::Sender<()>,
    credential_watch: CredentialWatch,
    directory: Arc<Directory>,
    owners: Owners,
    update_locks: UpdateLocks,
    unfinished_lists: UnfinishedLists,
    reads: SharedReads,
    /// One adoption at a time of each environment, whoever it is for.
    adoption_locks: KeyedLocks<EnvironmentId>,
    /// Set once somebody knows.
    readiness: OnceLock<ReadinessCheck>,
    unread_answers: UnreadAnswers,
    /// Where the lines of requests go; nowhere unless somebody says so.
    access_log: OnceLock<Arc<AccessLog>>,
    slow_log: SlowLog,
    unknown_keys: UnknownKeys,
    audit: Option<Audit>,
    /// None where nobody watches whether the upstream keeps to the contract.
    drift: Option<Arc<DriftWatch>>,
    metrics: Arc<Metrics>,
    tracer: Arc<Tracer>,
    is_stopping: AtomicBool,
}

impl Gateway {
    /// Builds the gateway; nothing is bound and nothing connected yet. Writes are left with `audit`, if there
    /// is one.
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
        let configuration = Configuration::new(settings, service, &metrics, None)?;
        configuration.plans.tell_budgets();
        Ok(Self {
            swapped: watch::Sender::new(()),
            credential_watch: CredentialWatch::new(),
            current: ArcSwap::from_pointee(configuration),
            directory,
            owners: Owners::new(&settings.ownership),
            update_locks: UpdateLocks::default(),
            unfinished_lists: UnfinishedLists::default(),
            reads: SharedReads::new(&settings.cache),
            adoption_locks: KeyedLocks::default(),
            unread_answers: UnreadAnswers::new(settings.listen.max_unread_bytes),
            access_log: OnceLock::new(),
            slow_log: SlowLog::default(),
            unknown_keys: UnknownKeys::default(),
            readiness: OnceLock::new(),
            audit,
            tracer: Arc::new(Tracer::new(&settings.telemetry, metrics.spans.clone())),
            drift: settings.drift.is_enabled.then(|| {
                let schemas = Arc::clone(settings.contract.schemas.replies());
                Arc::new(DriftWatch::new(schemas, metrics.drift.clone()))
            }),
            metrics,
            is_stopping: AtomicBool::new(false),
        })
    }

    /// Gives the gateway the key that page cursors are sealed with, from the store that all replicas share.
    /// Until it has one, lists answer that the gateway is not ready.
    ///
    /// # Errors
    /// Where the cipher does not take the key.
    pub fn set_cursor_key(&self, key: &[u8; 32]) -> Result<(), CursorError> {
        self.owners.set_cursor_key(key)
    }

    /// Says who knows whether requests should be sent here, for `listen.health_path`. The first one counts.
    pub fn set_readiness(&self, check: impl Fn() -> Readiness + Send + Sync + 'static) {
        let _ = self.readiness.set(Box::new(check));
    }

    /// Says where the lines of requests go. The first one counts.
    pub fn set_access_log(&self, access_log: Arc<AccessLog>) {
        let _ = self.access_log.set(access_log);
    }

    /// Says whether no other gateway writes what this one keeps replies of: only then are replies to reads kept.
    pub fn set_alone(&self, is_alone: bool) {
        self.reads.set_alone(is_alone);
    }

    /// Where writes are left, if they are recorded.
    #[must_use]
    pub const fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// What its spans are left with.
    #[must_use]
    pub const fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// What watches whether the upstream keeps to the contract, if anything does.
    #[must_use]
    pub const fn drift(&self) -> Option<&Arc<DriftWatch>> {
        self.drift.as_ref()
    }

    /// Where it is told when the files of credentials are looked at.
    #[must_use]
    pub const fn credential_watch(&self) -> &CredentialWatch {
        &self.credential_watch
    }

    /// The budgets that requests spend; each wants its task to [run](crate::quota::Budget::run) until it is
    /// [retired](LiveBudget::retired).
    #[must_use]
    pub fn budgets(&self) -> Vec<LiveBudget> {
        self.current.load().plans.budgets().cloned().collect()
    }

    /// Prepares to go by other settings. Nothing changes before they are [put in force](Self::put_in_force);
    /// one that prepares puts in force before another prepares.
    ///
    /// # Errors
    /// [`SetUpError`] where no client of the upstream can be made.
    pub fn prepare(
        &self,
        settings: &Settings,
        service: &UpstreamService,
    ) -> Result<PreparedConfiguration, SetUpError> {
        let before = self.configuration();
        let configuration = Configuration::new(settings, service, &self.metrics, Some(&before))?;
        Ok(PreparedConfiguration(configuration))
    }

    /// Goes by what was prepared from now on, with every request that begins now. Those that have begun go by
    /// what they began with.
    pub fn put_in_force(&self, prepared: PreparedConfiguration) {
        let (before, PreparedConfiguration(after)) = (self.configuration(), prepared);
        after.plans.put_in_force(&before.plans);
        after.origin.set_circuit(after.circuit);
        if after.cache != before.cache {
            self.reads.keep_by(&after.cache);
        }
        self.unread_answers.set_max(after.max_unread_bytes);
        self.tracer.set_export(after.span_export.as_ref());
        if let Some(drift) = &self.drift {
            drift.set_schemas(&after.reply_schemas);
        }
        self.current.store(Arc::new(after));
        self.swapped.send_replace(());
    }

    /// What holds for whatever begins now. Who keeps it goes by it, whatever is swapped meanwhile.
    fn configuration(&self) -> Arc<Configuration> {
        self.current.load_full()
    }
}
