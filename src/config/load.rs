//! From text and environment to [`Settings`].

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use super::budget::Budget;
use super::changes::WrittenSettings;
use super::credential_file::credential_files;
use super::drift::Drift;
use super::errors::{ConfigErrors, Problem};
use super::log::Log;
use super::reader::{Reader, variable};
use super::schema_folder::SchemaFolder;
use super::settings::{Audit, Cache, Contract, List, Ownership, Server, Settings, Store, Upstream};
use super::source::Source;
use super::{otel_variables, overlay, secrets, tree, values};
use crate::contract::{Schemas, Strictness};

/// How long the reply to a read serves others, where no other gateway is expected.
const CACHE_TTL: Duration = Duration::from_secs(2);

/// Reads settings from a text and an environment. Nothing else is looked at but the files of secrets and
/// certificates that they name.
///
/// # Errors
/// Everything that is wrong with them, at once.
///
/// ```
/// use envgate::config::{Source, load};
///
/// let environment = [("ENVGATE_LISTEN__ADDRESS".to_owned(), "127.0.0.1:0".to_owned())];
/// let errors = load(&Source::new("envgate.toml", "[upstream]\ntiemout = \"5s\"\n", environment)).unwrap_err();
/// assert_eq!(
///     errors.to_string(),
///     "envgate.toml:2:1: upstream.tiemout: unknown setting; did you mean \"timeout\"?"
/// );
/// ```
pub fn load(source: &Source) -> Result<Settings, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let mut entries = tree::read(&source.name, &source.text, &mut errors)?;
    let ignored_variables = overlay::lay(&source.environment, &mut entries, &mut errors);
    let otel_advice = otel_variables::lay(&source.environment, &mut entries);
    let mut reader = Reader {
        entries,
        environment: &source.environment,
        ignored_variables,
        otel_advice,
        errors,
    };
    let settings = reader.settings();
    let mut errors = reader.errors;
    errors.sort();
    settings.filter(|_| errors.is_empty()).ok_or(errors)
}

impl Reader<'_> {
    pub(super) fn settings(&mut self) -> Option<Settings> {
        let listen = self.listen();
        let cors = self.cors();
        let admin = self.admin(listen.as_ref().map(|listen| listen.address));
        let upstream = self.upstream();
        let contract = self.contract();
        let ownership = self.ownership();
        let host = upstream.as_ref().and_then(Upstream::host);
        let budgets = self.budgets(Budget::of_host(host));
        let quota = budgets.as_ref().and_then(|budgets| self.quota(budgets));
        let credentials = self.credentials();
        let is_embedded = !self.is_set("upstream.url");
        let plans = match (&contract, &upstream) {
            (Some(contract), Some(upstream)) => self.plans(contract, upstream, is_embedded),
            _ => None,
        };
        let store = self.store();
        let list = self.list();
        let cache = self.cache(store.as_ref());
        let audit = self.audit();
        let drift = self.drift();
        let log = self.log();
        let server = self.server();
        let mut written = WrittenSettings::new(&self.entries, self.environment);
        let folder = contract
            .as_ref()
            .and_then(|contract| contract.schema_folder.as_ref());
        if let Some(folder) = folder {
            written.set_content("contract.schemas", folder.digest());
        }
        let telemetry = self.telemetry();
        Some(Settings {
            listen: listen?,
            cors: cors?,
            admin: admin?,
            upstream: upstream?,
            contract: contract?,
            ownership: ownership?,
            budgets: budgets?,
            quota: quota?,
            credentials,
            plans: plans?,
            list: list?,
            cache: cache?,
            store: store?,
            audit: audit?,
            drift: drift?,
            log: log?,
            server: server?,
            telemetry: telemetry?,
            exposed_files: self.exposed_files(),
            ignored_variables: std::mem::take(&mut self.ignored_variables),
            otel_advice: std::mem::take(&mut self.otel_advice),
            credential_files: credential_files(&self.entries, self.environment),
            written,
        })
    }

    fn contract(&mut self) -> Option<Contract> {
        let dialect = self.read("contract.dialect", values::dialect);
        let unknown_field = self.read("contract.unknown_field", values::rule);
        let host_format = self.read("contract.host_format", values::rule);
        let schemas = self.schemas();
        let strictness = Strictness {
            unknown_field: unknown_field?,
            host_format: host_format?,
        };
        let (schemas, schema_folder) = schemas?;
        Some(Contract {
            dialect: dialect?,
            strictness,
            schemas,
            schema_folder,
        })
    }

    /// The schemas of this release, with the files of a folder over them if there is one.
    fn schemas(&mut self) -> Option<(Arc<Schemas>, Option<SchemaFolder>)> {
        const FOLDER: &str = "contract.schemas";
        let Some(path) = self.read_optional(FOLDER, values::folder)? else {
            let built_in = Schemas::built_in();
            let built_in = built_in.map_err(|fault| self.fault("", Problem::BuiltInSchemas(fault)));
            return Some((built_in.ok()?, None));
        };
        match SchemaFolder::read(&path) {
            Ok((folder, schemas)) => Some((Arc::new(schemas), Some(folder))),
            Err(problems) => {
                problems
                    .into_iter()
                    .for_each(|problem| self.fault(FOLDER, problem));
                None
            }
        }
    }

    fn ownership(&mut self) -> Option<Ownership> {
        let is_stamping = self.read("ownership.stamp", values::boolean);
        let stamp_key = self.read("ownership.stamp_key", values::stamp_key);
        let adoption_timeout = self.read("ownership.adoption_timeout", values::duration);
        Some(Ownership {
            is_stamping: is_stamping?,
            stamp_key: stamp_key?,
            adoption_timeout: adoption_timeout?,
        })
    }

    fn store(&mut self) -> Option<Store> {
        let environment = self.environment;
        let url = self.read("store.url", |raw| {
            secrets::store_url(raw, variable("store.url"), environment)
        });
        let listen_url = self.read_optional("store.listen_url", |raw| {
            secrets::listen_url(raw, variable("store.listen_url"), environment)
        });
        let migration_url = self.read_optional("store.migration_url", |raw| {
            secrets::store_url(raw, variable("store.migration_url"), environment)
        });
        let may_migrate = self.read("store.auto_migrate", values::boolean);
        let store = Store {
            url: url?,
            listen_url: listen_url?,
            migration_url: migration_url?,
            may_migrate: may_migrate?,
        };
        if store.listen_url.is_some() && !store.may_have_replicas() {
            self.fault("store.listen_url", Problem::NothingToListenTo);
        }
        Some(store)
    }

    fn list(&mut self) -> Option<List> {
        let requests = self.read("list.max_upstream_requests", |raw| values::integer(raw, 1..=1000));
        Some(List {
            max_upstream_requests: requests?,
        })
    }

    /// What other gateways on the same store write is not seen here, so nothing is kept there unless that is
    /// wanted.
    fn cache(&mut self, store: Option<&Store>) -> Option<Cache> {
        let otherwise = match store {
            Some(store) if store.may_have_replicas() => Duration::ZERO,
            _ => CACHE_TTL,
        };
        let ttl = self.read_or("cache.ttl", values::duration_or_off, otherwise);
        let max_bytes = self.read("cache.max_bytes", |raw| values::integer(raw, 1 << 16..=1 << 30));
        Some(Cache {
            ttl: ttl?,
            max_bytes: u64::try_from(max_bytes?).ok()?,
        })
    }

    fn audit(&mut self) -> Option<Audit> {
        let is_enabled = self.read("audit.enabled", values::boolean);
        let file = self.read_optional("audit.file", values::path);
        let spool = self.read_optional("audit.spool", values::path);
        let retention = self.read("audit.retention", values::retention);
        Some(Audit {
            is_enabled: is_enabled?,
            file: file?,
            spool: spool?,
            retention: retention?,
        })
    }

    fn drift(&mut self) -> Option<Drift> {
        let is_enabled = self.read("drift.enabled", values::boolean);
        let retention = self.read("drift.retention", values::retention);
        Some(Drift {
            is_enabled: is_enabled?,
            retention: retention?,
        })
    }

    fn log(&mut self) -> Option<Log> {
        let format = self.read("log.format", values::log_format);
        let level = self.read("log.level", values::log_level);
        let success_ratio = self.read("log.success_ratio", values::ratio);
        let slow_request = self.read_optional("log.slow_request", values::duration);
        Some(Log {
            format: format?,
            level: level?,
            success_ratio: success_ratio?,
            slow_request: slow_request?,
        })
    }

    fn server(&mut self) -> Option<Server> {
        let cores = available_parallelism().map_or(1, usize::from);
        let threads = self.read_or("server.threads", |raw| values::integer(raw, 1..=1024), cores);
        let allows_core_dumps = self.read("server.core_dumps", values::boolean);
        let reloads_on_change = self.read("server.reload_on_change", values::boolean);
        let drain_delay = self.read("server.drain_delay", values::duration_or_zero);
        let handover_directory = self.read_optional("server.handover_directory", values::path);
        Some(Server {
            threads: threads?,
            allows_core_dumps: allows_core_dumps?,
            reloads_on_change: reloads_on_change?,
            drain_delay: drain_delay?,
            handover_directory: handover_directory?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests;

#[cfg(test)]
mod upstream_tests;
