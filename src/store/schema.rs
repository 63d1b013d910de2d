use std::collections::HashMap;

use sqlx::AnyConnection;
use sqlx::migrate::Migrator;

use super::transaction::{query_as, query_scalar};
use super::{Backend, Store, StoreError, postgres, sqlite};

/// How far the tables of a store are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// There are none.
    Missing,
    /// They are of an older version, or not finished.
    Outdated {
        /// The last version that was finished.
        version: i64,
    },
    /// They are as this version makes them.
    Current,
}

/// A migration as the store remembers it: its version, and the digest of what it did.
type Applied = (i64, Vec<u8>);

/// What a store has been through; none where it has no tables at all.
pub(super) async fn applied_migrations(
    backend: Backend,
    connection: &mut AnyConnection,
) -> Result<Option<Vec<Applied>>, StoreError> {
    let is_there = match backend {
        Backend::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
        Backend::Postgres => "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')",
    };
    let count: i64 = query_scalar(is_there).fetch_one(&mut *connection).await?;
    if count == 0 {
        return Ok(None);
    }
    let rows = query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(connection)
        .await?;
    Ok(Some(rows))
}

impl Backend {
    fn migrations(self) -> &'static Migrator {
        match self {
            Self::Sqlite => &sqlite::MIGRATIONS,
            Self::Postgres => &postgres::MIGRATIONS,
        }
    }

    /// The version of tables that this build makes.
    pub(super) fn known_version(self) -> i64 {
        let versions = self.migrations().iter().map(|migration| migration.version);
        versions.max().unwrap_or_default()
    }
}

impl Store {
    /// How far the tables are. Nothing is changed, so that it can be told of a database that takes no writes, too.
    ///
    /// # Errors
    /// [`StoreError::TooNew`], [`StoreError::Unreachable`] or [`StoreError::Unusable`]
    pub(super) async fn schema(&self) -> Result<Schema, StoreError> {
        let known = self.backend.migrations();
        let backend = self.backend;
        let applied = self.read(async |connection| applied_migrations(backend, connection).await);
        let Some(applied) = applied.await? else {
            return Ok(Schema::Missing);
        };
        if let Some((version, _)) = applied
            .iter()
            .find(|(version, _)| !known.version_exists(*version))
        {
            return Err(StoreError::TooNew { version: *version });
        }
        let newest = applied.last().map_or(0, |(version, _)| *version);
        let applied: HashMap<_, _> = applied.into_iter().collect();
        let is_applied = |version, checksum: &[u8]| {
            let applied: Option<&Vec<u8>> = applied.get(version);
            applied.is_some_and(|applied| applied == checksum)
        };
        Ok(
            match known
                .iter()
                .all(|migration| is_applied(&migration.version, &migration.checksum))
            {
                true => Schema::Current,
                false if applied.is_empty() => Schema::Missing,
                false => Schema::Outdated { version: newest },
            },
        )
    }
}
