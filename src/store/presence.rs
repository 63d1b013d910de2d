//! Which gateways have one SQLite file open: told by locks on files beside it, which the system gives back however a
//! process ends.
//!
//! The first gateway holds `…-first` alone. Each that comes while it does shares `…-others`; so the first knows by
//! trying that one whether it is alone, and the others know that they are not. Nothing stands in these files.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::error::StoreFault;
use super::{StoreError, sqlite};

/// How often it is looked who else is there.
pub(super) const PERIOD: Duration = Duration::from_millis(500);
/// How long one who comes waits for whoever is trying a lock at this moment.
const PATIENCE: Duration = Duration::from_millis(10);
const ATTEMPTS: usize = 20;

/// A gateway's place among those that have the store open, until it is dropped.
#[derive(Debug)]
pub struct Presence {
    paths: Paths,
    held: Held,
}

#[derive(Debug)]
struct Paths {
    first: PathBuf,
    others: PathBuf,
}

/// A lock that is held, and on which file. Who held the first one does not fall back.
#[derive(Debug)]
enum Held {
    First { _lock: File },
    Other { _lock: File },
}

impl Presence {
    /// Comes to the store that `url` names; none where that is no SQLite file, which many may share.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] while the store is being restored; [`StoreError::Unusable`] where the files beside
    /// it cannot be used; [`StoreError::BadUrl`].
    pub async fn join(url: &str) -> Result<Option<Self>, StoreError> {
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Ok(None);
        };
        let paths = Paths::beside(&sqlite::resolve(sqlite::path(rest)?)?);
        for _ in 0..ATTEMPTS {
            if let Some(held) = paths.try_join().map_err(|error| paths.fault(&error))? {
                return Ok(Some(Self { paths, held }));
            }
            sleep(PATIENCE).await;
        }
        let reason = "it is being restored from a backup";
        Err(StoreError::Unreachable(reason.into()))
    }

    /// Whether no other gateway has the store open.
    ///
    /// # Errors
    /// Where the files beside the store cannot be used.
    pub fn is_alone(&mut self) -> io::Result<bool> {
        if let Held::Other { .. } = self.held {
            let Some(lock) = try_lock(&self.paths.first)? else {
                return Ok(false);
            };
            // The one that was first has gone. The lock that is shared goes with what is replaced.
            self.held = Held::First { _lock: lock };
        }
        Ok(try_lock(&self.paths.others)?.is_some())
    }

    /// Waits until whoever is there has noticed this one, if it is not alone.
    pub async fn wait_until_noticed(&mut self) {
        if !self.is_alone().unwrap_or(false) {
            sleep(PERIOD * 2).await;
        }
    }

    /// Tells whenever it changes whether this gateway is alone, and once at the beginning. Does not end.
    pub async fn watch(mut self, tell: impl Fn(bool)) {
        let mut before = None;
        loop {
            let is_alone = self.is_alone().unwrap_or_else(|error| {
                tracing::warn!(%error, "nobody knows whether another gateway has the store open");
                false
            });
            if before != Some(is_alone) {
                tell(is_alone);
                match (before, is_alone) {
                    (_, false) => tracing::warn!(
                        "another gateway has the file of the store open: no reply to a read is kept while it has, \
                         as if cache.ttl were off"
                    ),
                    (Some(false), true) => tracing::info!("no other gateway has the store open any more"),
                    _ => {}
                }
            }
            before = Some(is_alone);
            sleep(PERIOD).await;
        }
    }
}

/// Keeps all gateways out, as long as it is held.
#[derive(Debug)]
pub(super) struct Exclusion {
    _first: File,
    _others: File,
}

impl Exclusion {
    /// None where a gateway has the store open.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, StoreError> {
        let paths = Paths::beside(path);
        let take = || -> io::Result<Option<Self>> {
            let (Some(first), Some(others)) = (try_lock(&paths.first)?, try_lock(&paths.others)?) else {
                return Ok(None);
            };
            Ok(Some(Self {
                _first: first,
                _others: others,
            }))
        };
        take().map_err(|error| paths.fault(&error))
    }
}

impl Paths {
    fn beside(path: &Path) -> Self {
        let with = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        Self {
            first: with("-first"),
            others: with("-others"),
        }
    }

    fn try_join(&self) -> io::Result<Option<Held>> {
        if let Some(lock) = try_lock(&self.first)? {
            return Ok(Some(Held::First { _lock: lock }));
        }
        let lock = open(&self.others)?;
        match lock.try_lock_shared() {
            Ok(()) => Ok(Some(Held::Other { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn fault(&self, error: &io::Error) -> StoreError {
        let reason = format!("{}: {error}", self.first.display()).into();
        StoreError::Unusable {
            fault: StoreFault::File,
            reason,
        }
    }
}

/// The lock of a file, for nobody else; none where somebody has it.
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn join(url: &str) -> Presence {
        Presence::join(url).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn gateways_on_one_file_know_of_each_other_and_of_who_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("envgate.db");
        let url = format!("sqlite:{}", path.display());
        let mut first = join(&url).await;
        assert!(first.is_alone().unwrap());
        let mut second = join(&url).await;
        let mut third = join(&url).await;
        for presence in [&mut first, &mut second, &mut third] {
            assert!(!presence.is_alone().unwrap());
        }
        assert!(Exclusion::take(&path).unwrap().is_none());
        drop(second);
        assert!(!first.is_alone().unwrap() && !third.is_alone().unwrap());
        drop(first);
        assert!(third.is_alone().unwrap(), "the last one is the first now");
        let mut fourth = join(&url).await;
        assert!(!third.is_alone().unwrap() && !fourth.is_alone().unwrap());
        drop((third, fourth));
        let exclusion = Exclusion::take(&path).unwrap().unwrap();
        let error = Presence::join(&url).await.unwrap_err();
        assert!(
            error.may_pass() && error.to_string().contains("restored"),
            "{error}"
        );
        drop(exclusion);
        assert!(join(&url).await.is_alone().unwrap());
    }

    #[tokio::test]
    async fn a_database_that_many_may_share_has_no_locks_beside_it() {
        assert!(Presence::join("postgres:///envgate").await.unwrap().is_none());
    }
}
