use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::{Connection, Executor};

use super::error::StoreFault;
use super::presence::Exclusion;
use super::revision::next_revision;
use super::{Backend, Store, StoreError, sqlite};

impl Store {
    /// Writes all of the store, as it is at one moment, into a new file. Whoever uses the store goes on meanwhile.
    ///
    /// # Errors
    /// [`StoreError::NotAFile`] for a PostgreSQL, [`StoreError::Backup`] where the file is there already or cannot be
    /// written, [`StoreError::Unreachable`] or [`StoreError::Unusable`]
    pub async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        if self.backend == Backend::Postgres {
            return Err(StoreError::NotAFile("pg_dump"));
        }
        let cannot_write = |error: io::Error| StoreError::Backup(format!("{}: {error}", file.display()));
        let path = file
            .to_str()
            .ok_or_else(|| StoreError::Backup(format!("{}: the path is not UTF-8", file.display())))?;
        // Nobody but its owner reads it: the keys of tenants are not in it, but much else is.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
            .map_err(cannot_write)?;
        let mut connection = self.pool.acquire().await?;
        let written = sqlx::query("VACUUM INTO $1")
            .bind(path)
            .execute(&mut *connection)
            .await;
        let outcome = match written {
            Ok(_) => File::open(file)
                .and_then(|file| file.sync_all())
                .map_err(cannot_write),
            Err(error) => Err(error.into()),
        };
        if outcome.is_err() {
            let _ = fs::remove_file(file);
        }
        outcome
    }

    /// Puts the store that `url` names back to what a backup has. A gateway that is started then, or that knows the store
    /// from before, reads everything anew.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while a gateway or a command has the store open, [`StoreError::NotAFile`] for a
    /// PostgreSQL, [`StoreError::Backup`] where the file is no backup, and those of [`Store::open`]
    pub async fn restore(url: &str, backup: &Path) -> Result<(), StoreError> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(StoreError::NotAFile("pg_restore"));
        };
        let path = &sqlite::resolve(sqlite::path(rest)?)?;
        let Some(_exclusion) = Exclusion::take(path)? else {
            return Err(StoreError::InUse);
        };
        let prepared = Prepared::copy(backup, path)?;
        prepared.bring_up_to_date().await?;
        if path.exists() {
            remove_journal(path).await?;
        }
        fs::rename(&prepared.path, path)
            .map_err(|error| StoreError::Backup(format!("{}: {error}", path.display())))
    }
}

/// A copy of a backup beside the store that it is to replace; removed unless it does.
struct Prepared {
    path: PathBuf,
}

impl Prepared {
    fn copy(backup: &Path, store: &Path) -> Result<Self, StoreError> {
        let cannot_read = |error: io::Error| StoreError::Backup(format!("{}: {error}", backup.display()));
        let mut name = store.as_os_str().to_owned();
        name.push("-restoring");
        let prepared = Self { path: name.into() };
        let mut from = File::open(backup).map_err(cannot_read)?;
        // What an attempt that was killed has left is overwritten.
        let mut to = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&prepared.path)
            .map_err(cannot_read)?;
        io::copy(&mut from, &mut to)
            .and_then(|_| to.sync_all())
            .map_err(cannot_read)?;
        Ok(prepared)
    }

    /// Brings the schema up to date, and writes a token that no history has had.
    async fn bring_up_to_date(&self) -> Result<(), StoreError> {
        let url = format!("sqlite:{}", self.path.display());
        let store = match Store::open_existing(&url).await {
            Err(StoreError::Missing(_)) => {
                let reason = "it has none of envgate's tables";
                return Err(StoreError::Backup(reason.to_owned()));
            }
            outcome => outcome?,
        };
        let written = store
            .write(async |connection| next_revision(connection).await)
            .await;
        store.close().await;
        written.map(drop)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        remove(&self.path, &["", "-wal", "-shm"]);
    }
}

/// Takes the journal of a store away, which SQLite allows where nobody has it open, command or other program. One that
/// was left behind would be taken for a part of whatever comes in the store's place.
async fn remove_journal(path: &Path) -> Result<(), StoreError> {
    let left = async {
        let mut connection = sqlite::connect_once(path).await?;
        connection
            .execute("PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE")
            .await?;
        connection.close().await
    };
    match left.await.map_err(StoreError::from) {
        Ok(()) => Ok(()),
        Err(error) if error.fault() == Some(StoreFault::NotADatabase) => {
            remove(path, &["-wal", "-shm"]);
            Ok(())
        }
        Err(StoreError::Unreachable(_)) => Err(StoreError::InUse),
        Err(error) => Err(error),
    }
}

/// Removes what stands beside a path, as far as it is there.
fn remove(path: &Path, endings: &[&str]) {
    for ending in endings {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        let _ = fs::remove_file(name);
    }
}

#[cfg(test)]
mod tests;
