//! How everything here talks to the database: in transactions, with statements that leave nothing behind.
//!
//! A pooler such as `PgBouncer` gives a connection to the server for one transaction only. So no statement stands
//! outside of one, and none is prepared under a name, which the next transaction would look for on another connection.

use sqlx::any::AnyArguments;
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{Any, AnyConnection, FromRow, SqlSafeStr};

use super::{Backend, Store, StoreError};

pub(super) fn query<'q>(sql: impl SqlSafeStr) -> Query<'q, Any, AnyArguments> {
    sqlx::query(sql).persistent(false)
}

pub(super) fn query_as<'q, O>(sql: impl SqlSafeStr) -> QueryAs<'q, Any, O, AnyArguments>
where
    O: for<'r> FromRow<'r, sqlx::any::AnyRow>,
{
    sqlx::query_as(sql).persistent(false)
}

pub(super) fn query_scalar<'q, O>(sql: impl SqlSafeStr) -> QueryScalar<'q, Any, O, AnyArguments>
where
    (O,): for<'r> FromRow<'r, sqlx::any::AnyRow>,
{
    sqlx::query_scalar(sql).persistent(false)
}

impl Backend {
    /// All that is read in one transaction is of one moment.
    const fn begin_reading(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        }
    }

    /// SQLite waits for its turn to write only where it has read nothing before.
    const fn begin_writing(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }
}

impl Store {
    /// Reads in a transaction of its own.
    pub(super) async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.pool.begin_with(self.backend.begin_reading()).await?;
        let value = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(value)
    }

    /// Writes in a transaction of its own, which is undone where `work` fails. How it went is remembered for whoever asks
    /// whether the store can be written to.
    pub(super) async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let outcome = self.try_write(work).await;
        self.health.note_write(outcome.as_ref().err());
        outcome
    }

    /// Whether the store can be written to: writes what is there already.
    pub(super) async fn try_to_write(&self) -> Result<(), StoreError> {
        self.write(async |connection| {
            query("UPDATE directory_change SET number = number WHERE id = 1")
                .execute(connection)
                .await?;
            Ok(())
        })
        .await
    }

    async fn try_write<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut transaction = self.pool.begin_with(self.backend.begin_writing()).await?;
        let value = work(&mut transaction).await?;
        transaction.commit().await?;
        Ok(value)
    }
}
