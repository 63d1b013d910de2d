use std::error::Error;
use std::io;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::SqliteError;
use tokio::time::timeout;

use crate::tenancy::StampRequired;
use crate::text::{NoRandomNumbers, format_seconds};

/// Why the store did not do what it was asked. No message has a password or a key in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no store that this build can open.
    #[error("{0}")]
    BadUrl(String),
    /// The store cannot be reached, or does not answer; it may later.
    #[error("the store cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The store is there and does not do what it is asked.
    #[error("{}: {reason}", .fault.words())]
    Unusable {
        /// What is wrong with it.
        fault: StoreFault,
        /// What it said.
        #[source]
        reason: Box<dyn Error + Send + Sync>,
    },
    /// There is no store, and nobody wanted one made.
    #[error("there is no store at {0}; name the one that is meant by store.url (ENVGATE_STORE__URL)")]
    Missing(String),
    /// A newer envgate has written to the store.
    #[error(
        "the store has schema version {version}, which is newer than this envgate: run the envgate that made it or a \
         newer one, or put the store back to a backup from before"
    )]
    TooNew {
        /// The version that this build does not know.
        version: i64,
    },
    /// The tables are not those of this build, and whoever opens the store may not change them.
    #[error(
        "the store has {}, this envgate needs version {needed} and store.auto_migrate is off: run envgate store migrate",
        describe_version(*.version)
    )]
    Outdated {
        /// The version of the tables; none where there are none.
        version: Option<i64>,
        /// That of this build.
        needed: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the schema of the store could not be brought up to date: {0}")]
    Migration(#[source] Box<dyn Error + Send + Sync>),
    /// What was read is nothing that envgate has written.
    #[error("the store has a row that cannot be read: {0}")]
    Unreadable(String),
    /// The store is no file, so another program backs it up.
    #[error("the store is a PostgreSQL; use {0}, which is made for it")]
    NotAFile(&'static str),
    /// A backup cannot be made or used.
    #[error("the backup cannot be used: {0}")]
    Backup(String),
    /// Somebody has the store open.
    #[error("a gateway or another process has the store open; stop it first")]
    InUse,
    /// What was to be written is nothing that the store can hold.
    #[error("the store refuses what was to be written: {0}")]
    Rejected(String),
    /// A tenant's name breaks its rule.
    #[error("a tenant's name has 1 to 64 characters and no control characters")]
    BadTenantName,
    /// A plan's name breaks its rule.
    #[error("a plan's name has 1 to 64 characters and no control characters")]
    BadPlanName,
    /// Another tenant has the name.
    #[error("there is a tenant {0:?} already")]
    DuplicateTenant(String),
    /// The tenant would share an upstream credential with another, and nothing would tell their environments apart.
    #[error(transparent)]
    StampRequired(#[from] StampRequired),
    /// No tenant has the name.
    #[error("there is no tenant {0:?}")]
    NoSuchTenant(String),
    /// No key has the prefix.
    #[error("there is no such key; name it by its first 14 characters, as the list of keys shows them")]
    NoSuchKey,
    /// Several keys have the prefix.
    #[error("several keys begin like this; name the one that is meant by its whole text")]
    AmbiguousKey,
    /// The key cannot be rotated, because it lets nobody in any more.
    #[error("this key was revoked or has expired; create a new one")]
    VoidKey,
    /// A key's label breaks its rule.
    #[error("a key's label has 1 to 64 characters and no control characters")]
    BadLabel,
    /// A key would have expired before it was made.
    #[error("the expiry of the key is not in the future")]
    PastExpiry,
    /// A key is restricted to more environments than a key can be.
    #[error("a key can be restricted to {0} environments at most")]
    TooManyEnvironments(usize),
    /// There is no such environment.
    #[error("environment not found")]
    NotFound,
    /// An environment with the id exists, or others kept changing it first.
    #[error("the environment exists already, or changes faster than this change can be written")]
    Conflict,
    /// The system has no random numbers to give.
    #[error(transparent)]
    NoRandomNumbers(#[from] NoRandomNumbers),
}

/// What is wrong with a store that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The user, the password, or the place that the connection comes from.
    Credentials,
    /// The server has no database of this name.
    MissingDatabase,
    /// The user may not do this.
    Rights,
    /// The two do not agree on TLS, or the server's certificate is not the one that it should have.
    Tls,
    /// Tables are missing, or are not as envgate makes them.
    Tables,
    /// The file is no database, or a broken one.
    NotADatabase,
    /// The file, or its directory, cannot be opened.
    File,
    /// The settings of the connection are such that none can be made.
    Settings,
    /// It takes no writes at the moment: a standby, a failover, a file without the right to write.
    ReadOnly,
    /// Its disk is full.
    Full,
}

impl StoreFault {
    const fn words(self) -> &'static str {
        match self {
            Self::Credentials => "the store does not accept this user or password",
            Self::MissingDatabase => "the store has no such database",
            Self::Rights => "the user of the store lacks a right",
            Self::Tls => "the store and envgate do not agree on TLS",
            Self::Tables => "the tables of the store are missing or not as envgate makes them",
            Self::NotADatabase => "the store is not a database, or a damaged one",
            Self::File => "the file of the store cannot be opened",
            Self::Settings => "no connection to the store can be made with these settings",
            Self::ReadOnly => "the store is read-only at the moment",
            Self::Full => "the disk of the store is full",
        }
    }

    /// Whether it may pass by itself.
    const fn may_pass(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Full)
    }

    /// By the SQLSTATE of PostgreSQL, or the result code of SQLite.
    fn of_database(error: &dyn DatabaseError) -> Option<Self> {
        let code = error.code()?;
        if error.try_downcast_ref::<SqliteError>().is_some() {
            // The lowest byte is the code, what stands above it says more.
            return match code.parse::<u32>().ok()? & 0xff {
                1 if error.message().starts_with("no such ") => Some(Self::Tables),
                3 | 14 | 23 => Some(Self::File),
                8 => Some(Self::ReadOnly),
                11 | 26 => Some(Self::NotADatabase),
                13 => Some(Self::Full),
                _ => None,
            };
        }
        match &*code {
            "3D000" => Some(Self::MissingDatabase),
            "42501" => Some(Self::Rights),
            "42P01" | "42703" | "3F000" => Some(Self::Tables),
            "25006" => Some(Self::ReadOnly),
            "53100" => Some(Self::Full),
            code if code.starts_with("28") => Some(Self::Credentials),
            _ => None,
        }
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        match error.kind() {
            _ if is_tls => Some(Self::Tls),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Full),
            io::ErrorKind::ReadOnlyFilesystem => Some(Self::ReadOnly),
            _ => None,
        }
    }
}

impl StoreError {
    /// What is wrong with the store, where it is there.
    #[must_use]
    pub const fn fault(&self) -> Option<StoreFault> {
        match self {
            Self::Unusable { fault, .. } => Some(*fault),
            _ => None,
        }
    }

    /// Whether the store, and not what it was asked for, is the reason.
    #[must_use]
    pub const fn is_of_the_store(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Unusable { .. })
    }

    /// Whether it may be gone when the same is tried again later, without anybody doing anything about it.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Outdated { .. } => true,
            Self::Unusable { fault, .. } => fault.may_pass(),
            _ => false,
        }
    }

    /// What it says about the store, without what a stranger should not read.
    #[must_use]
    pub const fn condition(&self) -> &'static str {
        match self {
            Self::Unusable { fault, .. } => fault.words(),
            Self::Unreachable(_) => "the store cannot be reached",
            Self::Outdated { .. } => "the tables of the store are not up to date",
            _ => "the store cannot be read",
        }
    }

    /// The same, and which file it is about.
    pub(super) fn about(self, path: &std::path::Path) -> Self {
        let name = |reason: Box<dyn Error + Send + Sync>| format!("{}: {reason}", path.display()).into();
        match self {
            Self::Unreachable(reason) => Self::Unreachable(name(reason)),
            Self::Unusable { fault, reason } => Self::Unusable {
                fault,
                reason: name(reason),
            },
            other => other,
        }
    }
}

fn describe_version(version: Option<i64>) -> String {
    version.map_or("no tables yet".to_owned(), |version| {
        format!("tables of version {version}")
    })
}

/// What the store answers, if it does so in time: one that went away silently would be waited for without end.
pub(super) async fn within<T, E: Into<StoreError>>(
    limit: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, StoreError> {
    match timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_elapsed) => {
            let reason = format!("no answer within {}", format_seconds(limit));
            Err(StoreError::Unreachable(reason.into()))
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                Self::Unreadable(error.to_string())
            }
            other => {
                let fault = match &other {
                    sqlx::Error::Database(error) => StoreFault::of_database(&**error),
                    sqlx::Error::Io(error) => StoreFault::of_io(error),
                    sqlx::Error::Tls(_) => Some(StoreFault::Tls),
                    sqlx::Error::Configuration(_) => Some(StoreFault::Settings),
                    _ => None,
                };
                let reason = Box::new(other);
                match fault {
                    Some(fault) => Self::Unusable { fault, reason },
                    None => Self::Unreachable(reason),
                }
            }
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::TooNew { version },
            MigrateError::Execute(error) => error.into(),
            MigrateError::ExecuteMigration(error, version) => match Self::from(error) {
                // What the migration itself does wrong is no fault of the store.
                Self::Unreachable(reason) => Self::Migration(format!("version {version}: {reason}").into()),
                fault => fault,
            },
            other => Self::Migration(other.into()),
        }
    }
}

/// Whether a write failed because a row with the same unique value is there.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}
