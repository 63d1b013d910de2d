use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::admin::Admin;
use super::budget::Budget;
use super::changes::WrittenSettings;
use super::cors::Cors;
use super::credential_file::CredentialFile;
use super::drift::Drift;
use super::log::Log;
use super::networks::Networks;
use super::plan::Plan;
use super::proxy::Proxying;
use super::schema_folder::SchemaFolder;
use super::telemetry::Telemetry;
use super::tls::{KeyPairFiles, ServerTls};
use crate::contract::{Dialect, Schemas, StampKey, Strictness};
use crate::text::Secret;

/// Everything an operator can set, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[listen]`: the downstream side.
    pub listen: Listen,
    /// `[cors]`: which pages in browsers may read answers; none where none may.
    pub cors: Option<Cors>,
    /// `[admin]`: health, metrics and the admin API.
    pub admin: Admin,
    /// `[upstream]`: the environments service.
    pub upstream: Upstream,
    /// `[contract]`: how the API is spoken.
    pub contract: Contract,
    /// `[ownership]`: how the environments of tenants are told apart.
    pub ownership: Ownership,
    /// `[credentials]`: keys for the upstream that plans name, by name.
    pub credentials: BTreeMap<String, Credential>,
    /// `[budgets]`: what may go up, by name; [`DEFAULT_BUDGET`](super::DEFAULT_BUDGET) is always there.
    pub budgets: BTreeMap<String, Budget>,
    /// `[quota]`: who else spends them.
    pub quota: Quota,
    /// `[plans]`: what tenants may do, by the plan's name; [`DEFAULT_PLAN`](super::DEFAULT_PLAN) is always
    /// there.
    pub plans: BTreeMap<String, Plan>,
    /// `[list]`: how far a list looks for a tenant's own environments.
    pub list: List,
    /// `[cache]`: replies to reads that serve several.
    pub cache: Cache,
    /// `[store]`: tenants and keys.
    pub store: Store,
    /// `[audit]`: what is kept of writes.
    pub audit: Audit,
    /// `[drift]`: whether the upstream keeps to the contract.
    pub drift: Drift,
    /// `[log]`.
    pub log: Log,
    /// `[server]`.
    pub server: Server,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
    /// Files of secrets that everybody on this machine may read, each in a sentence.
    pub exposed_files: Vec<String>,
    /// Variables whose names begin as ours do, and are none: whoever wrote them may have meant a setting.
    pub ignored_variables: Vec<String>,
    /// What is ignored of the variables that other software with OpenTelemetry heeds, each in a sentence.
    pub otel_advice: Vec<String>,
    /// The files that credentials for the upstream are in.
    pub credential_files: Vec<CredentialFile>,
    /// As it was written, to be compared with what is read later.
    pub(super) written: WrittenSettings,
}

/// `[listen]`
#[derive(Clone, Debug)]
pub struct Listen {
    /// Where tenants connect; port 0 takes a free one.
    pub address: SocketAddr,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How long a request body may take to arrive, from its first read to its last.
    pub body_timeout: Duration,
    /// How long the head of a request may take to arrive.
    pub header_timeout: Duration,
    /// How long a connection is kept on which nothing happens.
    pub keepalive_timeout: Duration,
    /// How many connections may be open; none for what suits the process.
    pub max_connections: Option<usize>,
    /// How many connections one address may have open; none for a quarter of all.
    pub max_connections_per_address: Option<usize>,
    /// With which answer a connection is closed at the latest.
    pub max_requests_per_connection: usize,
    /// After what time the next answer closes a connection; zero for never.
    pub max_connection_age: Duration,
    /// How many requests may be answered at once; none for as many as there may be connections.
    pub max_in_flight: Option<usize>,
    /// How many unknown keys one address may try in a minute; none for as many as it likes.
    pub unknown_keys_per_minute: Option<u32>,
    /// The operator's own machines: the limits of one address are not theirs, and they are believed whose
    /// requests they pass on.
    pub trusted_networks: Networks,
    /// Whether every connection begins with a PROXY header that says whose it is.
    pub has_proxy_protocol: bool,
    /// The header in which trusted machines say who asked.
    pub client_address_header: Option<ClientAddressHeader>,
    /// How long a client may take less of its answer than the least rate asks for.
    pub write_timeout: Duration,
    /// The least rate at which a client has to take its answer.
    pub min_send_bytes_per_second: usize,
    /// How many bytes of large answers may wait for their clients.
    pub max_unread_bytes: usize,
    /// Whether a client that ended its side is asked for a sign of life.
    pub probe_half_closed: bool,
    /// Where whoever asks is told whether requests should be sent here; none where nobody is.
    pub health_path: Option<String>,
    /// `[listen.tls]`; none where plain HTTP is spoken.
    pub tls: Option<ServerTls>,
}

/// A header in which proxies say whose request they pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddressHeader {
    /// `Forwarded`, of RFC 7239.
    Forwarded,
    /// `X-Forwarded-For`, of many proxies' own.
    XForwardedFor,
}

/// `[upstream]`
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The service and the operator's credential for it; none for the embedded environments service.
    pub service: Option<UpstreamService>,
    /// How the service is reached.
    pub route: Route,
    /// How long a request may take once it needs it: its turn in the budget, and all to the last byte of the
    /// last reply.
    pub timeout: Duration,
    /// The largest reply body, in bytes.
    pub max_response_bytes: usize,
    /// When it is left alone.
    pub circuit: Circuit,
    /// Whether it is asked for a list at start, to see whether it takes the credentials.
    pub is_listed_at_start: bool,
    /// The beta that every request goes up with, unless its client names one of the same kind.
    pub beta: HeaderValue,
    /// The value of `anthropic-workspace-id` with its own credential, where the plan has none; none where the
    /// upstream decides.
    pub workspace_id: Option<HeaderValue>,
    /// The name of the budget that requests with its own credential spend.
    pub budget: String,
}

/// How an upstream is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Whom it has to be, and who the gateway is.
    pub tls: UpstreamTls,
    /// Whether a proxy stands before it.
    pub proxying: Proxying,
}

/// What TLS with an upstream needs besides the system's root certificates. All files are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The certificate authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificates of which the upstream has to show one, whoever signed it.
    pub pinned_certificate: Option<PathBuf>,
    /// What the gateway shows the upstream.
    pub client: Option<KeyPairFiles>,
}

/// When an upstream that fails is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// How many failures in a row it takes; 0 for never.
    pub failures: usize,
    /// How long nothing is sent before one request tries again.
    pub pause: Duration,
}

impl Upstream {
    /// The host that the service is at; none for the embedded one.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.service.as_ref().map(|service| service.url.host.as_str())
    }
}

/// `[quota]`
#[derive(Clone, Debug)]
pub struct Quota {
    /// How many gateways spend the same budgets.
    pub replicas: u32,
    /// The URL of the Redis where they count together.
    pub redis: Option<Secret>,
    /// How long a replica that Redis does not answer goes by its share.
    pub alone_for: Duration,
    /// How long a request counts: a minute, but where limits are tried out.
    pub window: Duration,
}

/// `[credentials.NAME]`: another key for the same upstream.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The value of `X-Api-Key`.
    pub key: Secret,
    /// The name of the budget that its requests spend.
    pub budget: String,
}

/// Where the environments service is, and the operator's credential for it.
#[derive(Clone, Debug)]
pub struct UpstreamService {
    /// Its address.
    pub url: UpstreamUrl,
    /// The value of `X-Api-Key`.
    pub credential: Secret,
}

/// An upstream's base URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// Whether the connection is TLS.
    pub is_tls: bool,
    /// The host, without brackets where it is an IPv6 address.
    pub host: String,
    /// The port; 80 or 443 where the URL names none.
    pub port: u16,
    /// The path before `/v1`, without a slash at its end; mostly empty.
    pub path_prefix: String,
}

/// `[contract]`
#[derive(Clone, Debug)]
pub struct Contract {
    /// The dialect that tenants speak.
    pub dialect: &'static Dialect,
    /// What becomes of unknown fields and of odd host names.
    pub strictness: Strictness,
    /// What bodies and replies are measured by.
    pub schemas: Arc<Schemas>,
    /// The folder that they come from in part; none where they are those of this release.
    pub schema_folder: Option<SchemaFolder>,
}

/// `[ownership]`
#[derive(Clone, Debug)]
pub struct Ownership {
    /// Whether environments are stamped with their tenant. They need not be where one tenant has the upstream
    /// credential for itself.
    pub is_stamping: bool,
    /// The metadata key of the stamp.
    pub stamp_key: StampKey,
    /// For how long a request to adopt several environments begins with further ones.
    pub adoption_timeout: Duration,
}

/// `[list]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// How many upstream requests one list may cost that has found nothing yet.
    pub max_upstream_requests: usize,
}

/// `[cache]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// How long the reply to a read serves others who ask for the same; zero for not at all.
    pub ttl: Duration,
    /// How much memory such replies may take, in bytes.
    pub max_bytes: u64,
}

/// `[store]`
#[derive(Clone, Debug)]
pub struct Store {
    /// `sqlite:` and a path, or a `postgres://` URL.
    pub url: Secret,
    /// Where a PostgreSQL is listened to for changes, which are found by asking too.
    pub listen_url: Option<Secret>,
    /// The same PostgreSQL as somebody who may make and change tables; for `envgate store migrate` alone.
    pub migration_url: Option<Secret>,
    /// Whether whoever opens it may make its tables and bring them up to date.
    pub may_migrate: bool,
}

/// `[audit]`
#[derive(Clone, Debug)]
pub struct Audit {
    /// Whether writes are recorded.
    pub is_enabled: bool,
    /// A file that gets every record as a line of JSON.
    pub file: Option<PathBuf>,
    /// A file for the last records, where the store is away at a stop.
    pub spool: Option<PathBuf>,
    /// How long records are kept in the store; none for ever.
    pub retention: Option<Duration>,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Worker threads of the gateway; the machine's cores unless set.
    pub threads: usize,
    /// Whether the system may write the process's memory, secrets and all, to a file when it crashes.
    pub allows_core_dumps: bool,
    /// Whether settings are read again when their file changes.
    pub reloads_on_change: bool,
    /// How long a gateway that was told to stop goes on serving before it stops to accept.
    pub drain_delay: Duration,
    /// Where a new process finds the running one; none where no process takes over from another.
    pub handover_directory: Option<PathBuf>,
}

impl Store {
    /// Whether several gateways may share it: only one can have a file.
    #[must_use]
    pub fn may_have_replicas(&self) -> bool {
        !self.url.reveal().starts_with("sqlite:")
    }
}

impl Settings {
    /// What an operator may not have meant, and that holds nothing up; each a sentence.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        // Never by its value, which may be a secret.
        let variables = self.ignored_variables.iter().map(|name| {
            format!("{name} sets nothing: names of settings have the form ENVGATE_SECTION__NAME")
        });
        let names_hosts = |plan: &Plan| {
            plan.policy.as_ref().is_some_and(|policy| {
                policy.allows_package_managers
                    && (policy.allowed_hosts.is_some() || policy.needs_public_hosts)
            })
        };
        let plans = self.plans.iter().filter(|(_, plan)| names_hosts(plan));
        let plans = plans.map(|(name, _)| {
            format!(
                "plans.{name}.policy names hosts and lets allow_package_managers be true, which opens GitHub, GitLab and \
                 the registries of packages and containers besides, uploads included; package_managers = false closes them"
            )
        });
        let proxy = match &self.upstream.route.proxying {
            Proxying::Ignored { variable } => Some(format!(
                "{variable} names a proxy, and requests go straight to the upstream all the same: upstream.proxy = \
                 \"environment\" heeds it, \"none\" says that this is meant"
            )),
            _ => None,
        };
        let exposed = self.exposed_files.iter().cloned();
        let open = self.admin.advice();
        variables
            .chain(self.otel_advice.iter().cloned())
            .chain(plans)
            .chain(proxy)
            .chain(exposed)
            .chain(open)
            .collect()
    }
}

impl UpstreamUrl {
    /// Host and port as they stand in a `Host` header: the port only where it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}
