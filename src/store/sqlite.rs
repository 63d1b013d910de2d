use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AnyPool, Connection, Executor};
use tokio::time::{Instant, sleep};

use super::error::StoreFault;
use super::{StoreError, StoreHealth};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/sqlite");

pub(super) const CONNECTIONS: u32 = 8;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// `WAL` lets readers go on while one writes; a writer waits its turn for five seconds. The log is taken into the
/// file every 16 MiB instead of every 4: what the audit changes again and again is then written less often.
const PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 4000; \
                       PRAGMA foreign_keys = ON;";

const SQLITE_BUSY: u32 = 5;
/// How long whoever comes second waits before the next try, where SQLite itself does not wait for a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How long a migration waits for another one that is under way. Each try waits for five seconds already.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(60);

/// Opens the file that the rest of a `sqlite:` URL names, and makes it where it is missing.
pub(super) async fn open(rest: &str, health: &Arc<StoreHealth>) -> Result<AnyPool, StoreError> {
    let path = create_if_missing(path(rest)?)?;
    connect(&path, health)
        .await
        .map_err(|error| StoreError::from(error).about(&path))
}

/// Opens the file that the rest of a `sqlite:` URL names; none where there is no file.
pub(super) async fn open_existing(
    rest: &str,
    health: &Arc<StoreHealth>,
) -> Result<Option<AnyPool>, StoreError> {
    let path = resolve(path(rest)?)?;
    if !path.exists() {
        return Ok(None);
    }
    let pool = connect(&path, health)
        .await
        .map_err(|error| StoreError::from(error).about(&path))?;
    Ok(Some(pool))
}

/// The absolute path of the file that the rest of a `sqlite:` URL names, for people.
pub(super) fn absolute(rest: &str) -> PathBuf {
    let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

pub(super) fn path(rest: &str) -> Result<&Path, StoreError> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path == ":memory:" || path.contains(['?', '#']) {
        return Err(StoreError::BadUrl(
            "a store URL is sqlite: and the path of a file, without ? and #".to_owned(),
        ));
    }
    Ok(Path::new(path))
}

/// The absolute path of a file, whose directory has to be there.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path
        .file_name()
        .ok_or_else(|| StoreError::BadUrl(format!("the store {} is no file", path.display())))?;
    let directory = directory.canonicalize().map_err(|error| {
        let message = format!("its directory {} cannot be used: {error}", directory.display());
        cannot_open(path, &io::Error::new(error.kind(), message))
    })?;
    Ok(directory.join(name))
}

/// Makes the file with a mode of its own, which SQLite then gives to its journals too. Gives its absolute path.
///
/// A file that is there is not opened: closing it would take the locks from other connections of this process.
fn create_if_missing(path: &Path) -> Result<PathBuf, StoreError> {
    let absolute = resolve(path)?;
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&absolute);
    match created {
        Ok(_) => Ok(absolute),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(absolute),
        Err(error) => Err(cannot_open(&absolute, &error)),
    }
}

/// A connection that is left as SQLite makes it.
pub(super) async fn connect_once(path: &Path) -> Result<AnyConnection, sqlx::Error> {
    install_default_drivers();
    AnyConnection::connect(&connect_url(path)?).await
}

fn connect_url(path: &Path) -> Result<String, sqlx::Error> {
    let path = path
        .to_str()
        .ok_or_else(|| sqlx::Error::Configuration("the path is not UTF-8".into()))?;
    Ok(format!(
        "sqlite://{}",
        utf8_percent_encode(path, NON_ALPHANUMERIC)
    ))
}

async fn connect(path: &Path, health: &Arc<StoreHealth>) -> Result<AnyPool, sqlx::Error> {
    // A pool keeps trying until its time is up and then says only that; one connection says what is wrong.
    let mut first = connect_once(path).await?;
    set_up(&mut first).await?;
    first.close().await?;
    let health = Arc::clone(health);
    AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| Box::pin(set_up(connection)))
        .before_acquire(move |_, connection| {
            let may_use = health.may_use(connection.age);
            Box::pin(async move { Ok(may_use) })
        })
        .connect(&connect_url(path)?)
        .await
}

/// Whoever makes a new file one with a write-ahead log holds a read lock while asking for the lock to write, and such a
/// one SQLite never lets wait: of several that open a new file at once, all but one are told that it is locked.
async fn set_up(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let deadline = Instant::now() + ACQUIRE_TIMEOUT;
    loop {
        match connection.execute(PRAGMAS).await {
            Err(error) if is_locked(&error) && Instant::now() < deadline => sleep(LOCK_PAUSE).await,
            outcome => return outcome.map(drop),
        }
    }
}

/// Brings the schema up to date; of several that start at once one does it and the others wait. It is all one
/// transaction, so that whatever ends it halfway leaves the old version.
pub(super) async fn migrate(pool: &AnyPool) -> Result<(), StoreError> {
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.set_locking(false);
    let deadline = Instant::now() + MIGRATION_PATIENCE;
    let mut transaction = loop {
        match pool.begin_with("BEGIN IMMEDIATE").await {
            Err(error) if is_locked(&error) && Instant::now() < deadline => {}
            outcome => break outcome?,
        }
    };
    migrator.run_direct(None, &mut *transaction, false).await?;
    Ok(transaction.commit().await?)
}

/// Whether somebody else has the lock that was asked for.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // The lowest byte is the code, what stands above it says more.
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

/// A directory that is not there, or a file that may not be opened, does not mend itself.
fn cannot_open(path: &Path, error: &io::Error) -> StoreError {
    let fault = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreFault::Full,
        io::ErrorKind::ReadOnlyFilesystem => StoreFault::ReadOnly,
        _ => StoreFault::File,
    };
    let reason = format!("{}: {error}", path.display()).into();
    StoreError::Unusable { fault, reason }
}

#[cfg(test)]
mod tests {
    use crate::store::Store;
    use crate::store::tests::{Database, TemporaryDatabase};

    /// Of those who make a new file one with a write-ahead log, SQLite lets nobody wait.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_file_is_never_locked_for_those_who_open_it_at_once() {
        for _ in 0..8 {
            let database = TemporaryDatabase::empty(Database::Sqlite);
            let open = (0..12).map(|_| {
                let url = database.url();
                tokio::spawn(async move { Store::open(&url).await.map(|_| ()) })
            });
            for outcome in futures_util::future::join_all(open).await {
                outcome.unwrap().unwrap();
            }
        }
    }
}
