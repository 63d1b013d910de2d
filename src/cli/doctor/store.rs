//! The store: whether it is there, of which version, and takes what has to be written.

use super::finding::{Finding, Findings, Grade};
use crate::config;
use crate::store::{Depth, Inspection, Store, StoreError, StoreFault, StoreProblem, display_name};

const CHECK: &str = "store";
const NOBODY: &str = "a gateway that starts lets nobody in before the store can be read, and one that runs goes on with \
                      what it knows";

/// Looks at the store.
pub(in crate::cli) async fn look(settings: &config::Store, depth: Depth) -> Findings {
    let url = settings.url.reveal();
    let name = display_name(url);
    let inspection = match Store::inspect(url, depth).await {
        Ok(inspection) => inspection,
        Err(error) => {
            let found = format!("{name}: {error}");
            return Finding::fault(CHECK, found, NOBODY, advice(&error)).into();
        }
    };
    let mut list = vec![Finding::ok(CHECK, describe(&name, &inspection))];
    let problems = inspection.problems.iter();
    list.extend(problems.map(|problem| explain(problem, &name, settings.may_migrate)));
    let clock = inspection
        .clock_ahead
        .map(|ahead| ("the store".to_owned(), ahead));
    Findings {
        list,
        clocks: clock.into_iter().collect(),
    }
}

fn describe(name: &str, inspection: &Inspection) -> String {
    let mut parts = vec![name.to_owned()];
    if !inspection.server.is_empty() {
        parts.push(inspection.server.clone());
    }
    if let Some(version) = inspection.version {
        let needed = inspection.needed_version;
        parts.push(format!(
            "tables of version {version}, this envgate makes {needed}"
        ));
    }
    let mebibytes = |bytes: u64| {
        let tenths = bytes.saturating_mul(10) >> 20;
        format!("{}.{} MiB", tenths / 10, tenths % 10)
    };
    if let Some(bytes) = inspection.size_bytes {
        parts.push(mebibytes(bytes));
    }
    if let Some(bytes) = inspection.free_bytes {
        parts.push(format!("{} of its disk left", mebibytes(bytes)));
    }
    let rows = inspection.rows.iter();
    parts.extend(rows.map(|(table, count)| format!("{table} {count}")));
    parts.join(", ")
}

/// What a problem means, and what to do about it.
fn explain(problem: &StoreProblem, name: &str, may_migrate: bool) -> Finding {
    let (grade, why, advice): (Grade, &str, String) = match problem {
        StoreProblem::Missing | StoreProblem::NoTables if may_migrate => (
            Grade::Warning,
            "serve makes it at its first start; where there should be one already, this is another one",
            "look whether store.url (ENVGATE_STORE__URL) names the store that is meant".to_owned(),
        ),
        StoreProblem::Outdated { .. } if may_migrate => (
            Grade::Warning,
            "serve and commands of this version bring them up to date when they start; there is no way back but a backup",
            "make a backup first: envgate store backup, or pg_dump".to_owned(),
        ),
        StoreProblem::Missing | StoreProblem::NoTables | StoreProblem::Outdated { .. } => (
            Grade::Fault,
            "store.auto_migrate is off, so serve waits and lets nobody in until somebody makes them",
            "run envgate store migrate as a user who may make and change tables".to_owned(),
        ),
        StoreProblem::TooNew { .. } => (
            Grade::Fault,
            "this envgate does not know what stands in them, and refuses to start on them",
            "run the envgate that made them or a newer one, or put the store back to a backup from before the upgrade"
                .to_owned(),
        ),
        StoreProblem::ReadOnly(_) => (
            Grade::Fault,
            "known keys go on, but no key can be made or revoked, and the audit is not written",
            match name.starts_with('/') {
                true => "give the gateway's user the right to write to the file and to its directory, where SQLite makes its \
                         journals, and look whether the disk is mounted read-only"
                    .to_owned(),
                false => "let store.url name the primary, and reset default_transaction_read_only of database and user"
                    .to_owned(),
            },
        ),
        StoreProblem::Locked => (
            Grade::Warning,
            "changes and the audit wait for it; a gateway writes for milliseconds",
            "look which process has the file open (fuser, lsof): a backup tool or a shell that forgot its transaction"
                .to_owned(),
        ),
        StoreProblem::Encoding(_) => (
            Grade::Fault,
            "names of tenants and environments may have any character, and cannot be stored",
            "make the database anew: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0".to_owned(),
        ),
        StoreProblem::Rights { user, .. } => (
            Grade::Fault,
            "serving reads and writes every table",
            format!("as the owner of the tables: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA … TO {user}"),
        ),
        StoreProblem::Damaged(_) => (
            Grade::Fault,
            "what is read from it may be wrong or missing, and it gets worse with every write",
            "stop the gateway, keep a copy of the file with its -wal, and put back a backup: envgate store restore FILE"
                .to_owned(),
        ),
        StoreProblem::Orphans(_) => (
            Grade::Warning,
            "something other than envgate has written to the file",
            "compare it with a backup, and report it".to_owned(),
        ),
        StoreProblem::NetworkFileSystem(_) => (
            Grade::Warning,
            "SQLite's locks and its shared memory hold on one machine only: two gateways there damage the file",
            "keep it on a disk of this machine, or use PostgreSQL".to_owned(),
        ),
        StoreProblem::OpenToOthers(_) => (
            Grade::Warning,
            "digests of keys, names of tenants and the key of page cursors are in it",
            format!("chmod 600 {name}"),
        ),
        StoreProblem::DiskNearlyFull(_) => (
            Grade::Warning,
            "on a full disk nothing can be changed, and the audit is not written",
            "make room, or shorten audit.retention".to_owned(),
        ),
    };
    Finding {
        grade,
        ..Finding::warning(CHECK, problem.to_string(), why, advice)
    }
}

/// What to do where the store could not be looked at.
fn advice(error: &StoreError) -> &'static str {
    match error.fault() {
        Some(StoreFault::Credentials) => {
            "look at user and password in store.url, and at pg_hba.conf, which says from where they may come"
        }
        Some(StoreFault::MissingDatabase) => {
            "CREATE DATABASE … ENCODING 'UTF8', or name another one in store.url"
        }
        Some(StoreFault::Rights) => {
            "give the user of store.url USAGE of the schema and SELECT, INSERT, UPDATE, DELETE of its tables; \
             docs/store.md has the statements"
        }
        Some(StoreFault::Tls) => {
            "look at sslmode and sslrootcert in store.url, and at the certificate that the server shows"
        }
        Some(StoreFault::Tables) => {
            "look whether store.url names envgate's own database and schema; else put back a backup"
        }
        Some(StoreFault::NotADatabase) => {
            "look whether store.url names the right file; if so, keep a copy and put back a backup: envgate store restore FILE"
        }
        Some(StoreFault::File) => {
            "make the directory, and give the gateway's user the right to read and write it and the file in it"
        }
        Some(StoreFault::Settings) => "look at store.url: docs/replicas.md says what it may have",
        Some(StoreFault::ReadOnly) => "let store.url name a server that takes writes",
        Some(StoreFault::Full) => "make room on its disk",
        None => {
            "look whether it runs, whether store.url names its host and port, and whether a firewall stands between"
        }
    }
}
