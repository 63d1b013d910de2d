use std::collections::HashMap;

use super::transaction::{query_as, query_scalar};
use super::{Backend, Store, StoreError, postgres, sqlite};

/// How far the tables of a store are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// There are none.
    Missing,
    /// They are of an older version, or not finished.
    Outdated,
    /// They are as this version makes them.
    Current,
}

impl Store {
    /// How far the tables are. Nothing is changed, so that it can be told of a database that takes no writes, too.
    ///
    /// # Errors
    /// [`StoreError::TooNew`], [`StoreError::Unreachable`] or [`StoreError::Unusable`]
    pub(super) async fn schema(&self) -> Result<Schema, StoreError> {
        let (known, is_there) = match self.backend {
            Backend::Sqlite => (
                &sqlite::MIGRATIONS,
                "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            ),
            Backend::Postgres => (
                &postgres::MIGRATIONS,
                "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')",
            ),
        };
        let applied = self.read(async |connection| {
            let count: i64 = query_scalar(is_there).fetch_one(&mut *connection).await?;
            if count == 0 {
                return Ok(None);
            }
            let rows: Vec<(i64, Vec<u8>)> =
                query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
                    .fetch_all(connection)
                    .await?;
            Ok(Some(rows))
        });
        let Some(applied) = applied.await? else {
            return Ok(Schema::Missing);
        };
        if let Some((version, _)) = applied
            .iter()
            .find(|(version, _)| !known.version_exists(*version))
        {
            return Err(StoreError::TooNew { version: *version });
        }
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
                false => Schema::Outdated,
            },
        )
    }
}
