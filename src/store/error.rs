use std::time::Duration;

use sqlx::migrate::MigrateError;
use tokio::time::timeout;

use crate::text::{NoRandomNumbers, format_seconds};

/// Why the store did not do what it was asked. No message has a password or a key in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no store that this build can open.
    #[error("{0}")]
    BadUrl(String),
    /// The store cannot be reached, or does not answer; it may later.
    #[error("the store cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A newer envgate has written to the store.
    #[error("the store has schema version {version}, which is newer than this envgate; run a newer one")]
    TooNew {
        /// The version that this build does not know.
        version: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the schema of the store could not be brought up to date: {0}")]
    Migration(#[source] MigrateError),
    /// What was read is nothing that envgate has written.
    #[error("the store has a row that cannot be read: {0}")]
    Unreadable(String),
    /// A tenant's name breaks its rule.
    #[error("a tenant's name has 1 to 64 characters and no control characters")]
    BadTenantName,
    /// A plan's name breaks its rule.
    #[error("a plan's name has 1 to 64 characters and no control characters")]
    BadPlanName,
    /// Another tenant has the name.
    #[error("there is a tenant {0:?} already")]
    DuplicateTenant(String),
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
            other => Self::Unreachable(Box::new(other)),
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::TooNew { version },
            MigrateError::Execute(error) => error.into(),
            other => Self::Migration(other),
        }
    }
}

/// Whether a write failed because a row with the same unique value is there.
pub(super) fn is_duplicate(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}
