//! What there is to say of a store to whoever looks after it. Nothing is changed by looking.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, Connection, Executor};

use super::error::StoreFault;
use super::open::backend;
use super::schema::applied_migrations;
use super::transaction::{query_as, query_scalar};
use super::{Backend, Store, StoreError, file_system, postgres, sqlite};
use crate::text::clock_ahead;

/// What people ask the number of.
const COUNTED: [&str; 4] = ["tenants", "keys", "environments", "audit"];
/// What serving reads and writes.
pub(super) const TABLES: [&str; 11] = [
    "adoptions",
    "audit",
    "audit_clock",
    "deleted_tenants",
    "directory_change",
    "drift_findings",
    "environments",
    "keys",
    "revision_tokens",
    "secrets",
    "tenants",
];
/// How long a lock is waited for.
const LOOKING: &str = "PRAGMA busy_timeout = 2000";
/// More of what is damaged helps nobody.
const MOST_DAMAGES: &str = "PRAGMA quick_check(5)";

/// What a look at a store has shown.
#[derive(Debug, Default)]
pub struct Inspection {
    /// What it is, with its version: `SQLite 3.50.4`.
    pub server: String,
    /// The version of its tables; none where there are none.
    pub version: Option<i64>,
    /// The version of tables that this build makes.
    pub needed_version: i64,
    /// How large it is, its indices included.
    pub size_bytes: Option<u64>,
    /// How much room its disk has left, where it is a file.
    pub free_bytes: Option<u64>,
    /// How many rows the tables have that people ask about.
    pub rows: Vec<(&'static str, i64)>,
    /// How far its clock is ahead of this machine's, where it has one.
    pub clock_ahead: Option<SignedDuration>,
    /// What is not as it should be.
    pub problems: Vec<StoreProblem>,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What takes no time however large it is.
    Quick,
    /// Every page of a file is read, every row counted.
    Thorough,
}

/// What is not as it should be with a store that can be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreProblem {
    /// There is no file.
    #[error("there is no file yet")]
    Missing,
    /// There are no tables.
    #[error("there are no tables yet")]
    NoTables,
    /// An older envgate has made the tables.
    #[error("the tables are of version {found}, this envgate needs {needed}")]
    Outdated {
        /// Their version.
        found: i64,
        /// That of this build.
        needed: i64,
    },
    /// A newer envgate has made the tables.
    #[error("the tables are of version {found}, this envgate knows them up to {known}")]
    TooNew {
        /// Their version.
        found: i64,
        /// That of this build.
        known: i64,
    },
    /// It takes no writes.
    #[error("nothing can be written: {0}")]
    ReadOnly(String),
    /// Somebody has been writing for as long as was waited.
    #[error("somebody holds the lock to write for more than two seconds")]
    Locked,
    /// Texts are not stored as UTF-8.
    #[error("its encoding is {0}, and not UTF8")]
    Encoding(String),
    /// The user lacks rights that serving needs.
    #[error("the user {user} may not {}", .rights.join(", "))]
    Rights {
        /// Who.
        user: String,
        /// Such as `INSERT audit`.
        rights: Vec<String>,
    },
    /// The file is damaged.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// Rows refer to others that are not there.
    #[error("{0} rows refer to others that are not there")]
    Orphans(usize),
    /// The file is on another machine.
    #[error("the file is on a network file system ({0})")]
    NetworkFileSystem(&'static str),
    /// Others than its owner may read the file.
    #[error("the file has mode {0:o}")]
    OpenToOthers(u32),
    /// Its disk is nearly full.
    #[error("its disk has {0} bytes left")]
    DiskNearlyFull(u64),
}

/// How much room a disk should have left: several times the log that SQLite writes before the file.
const LEAST_FREE_BYTES: u64 = 128 << 20;

impl Store {
    /// Looks at the store that a URL names, over a connection of its own.
    ///
    /// # Errors
    /// Where it cannot be looked at: those of [`Store::open_to_look`], but never [`StoreError::TooNew`].
    pub async fn inspect(url: &str, depth: Depth) -> Result<Inspection, StoreError> {
        let (backend, rest) = backend(url)?;
        let mut inspection = Inspection {
            needed_version: backend.known_version(),
            ..Inspection::default()
        };
        match backend {
            Backend::Sqlite => inspection.sqlite(sqlite::path(rest)?, depth).await?,
            Backend::Postgres => inspection.postgres(url, depth).await?,
        }
        Ok(inspection)
    }
}

impl Inspection {
    async fn sqlite(&mut self, path: &Path, depth: Depth) -> Result<(), StoreError> {
        let path = sqlite::resolve(path)?;
        let file = file_system::look(&path);
        self.free_bytes = file.free_bytes;
        if let Some(name) = file.network {
            self.problems.push(StoreProblem::NetworkFileSystem(name));
        }
        if let Some(free) = file.free_bytes.filter(|free| *free < LEAST_FREE_BYTES) {
            self.problems.push(StoreProblem::DiskNearlyFull(free));
        }
        if let Some(reason) = file.not_writable {
            self.problems.push(StoreProblem::ReadOnly(reason));
        }
        let Some(mode) = file.mode else {
            self.problems.push(StoreProblem::Missing);
            return Ok(());
        };
        if mode & 0o077 != 0 {
            self.problems.push(StoreProblem::OpenToOthers(mode));
        }
        let about = |error: sqlx::Error| StoreError::from(error).about(&path);
        let mut connection = sqlite::connect_once(&path).await.map_err(about)?;
        connection.execute(LOOKING).await.map_err(about)?;
        let looked = self.tables_of_sqlite(&mut connection, depth).await;
        connection.close().await.map_err(about)?;
        looked.map_err(|error| error.about(&path))
    }

    async fn tables_of_sqlite(
        &mut self,
        connection: &mut AnyConnection,
        depth: Depth,
    ) -> Result<(), StoreError> {
        let version: String = scalar(connection, "SELECT sqlite_version()").await?;
        self.server = format!("SQLite {version}");
        let bytes = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        self.size_bytes = u64::try_from(scalar::<i64>(connection, bytes).await?).ok();
        self.tables(Backend::Sqlite, connection, depth).await?;
        if depth == Depth::Thorough {
            self.integrity(connection).await?;
        }
        self.turn_to_write(connection).await
    }

    /// Takes the lock to write, and gives it back with nothing written.
    async fn turn_to_write(&mut self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        if self
            .problems
            .iter()
            .any(|p| matches!(p, StoreProblem::ReadOnly(_)))
        {
            return Ok(());
        }
        let problem = match connection.execute("BEGIN IMMEDIATE").await {
            Ok(_) => {
                connection.execute("ROLLBACK").await?;
                return Ok(());
            }
            Err(error) if sqlite::is_locked(&error) => StoreProblem::Locked,
            Err(error) => match StoreError::from(error) {
                error if error.fault() == Some(StoreFault::ReadOnly) => {
                    StoreProblem::ReadOnly("SQLite may only read it".to_owned())
                }
                error => return Err(error),
            },
        };
        self.problems.push(problem);
        Ok(())
    }

    async fn integrity(&mut self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let said: Vec<(String,)> = match query_as(MOST_DAMAGES).fetch_all(&mut *connection).await {
            Ok(said) => said,
            Err(error) => vec![(error.to_string(),)],
        };
        for (damage,) in said.into_iter().filter(|(said,)| said != "ok") {
            self.problems
                .push(StoreProblem::Damaged(damage.replace('\n', " ")));
        }
        let orphans = "SELECT COUNT(*) FROM pragma_foreign_key_check";
        match scalar::<i64>(connection, orphans).await.map(usize::try_from) {
            Ok(Ok(count)) if count > 0 => self.problems.push(StoreProblem::Orphans(count)),
            _ => {}
        }
        Ok(())
    }

    async fn postgres(&mut self, url: &str, depth: Depth) -> Result<(), StoreError> {
        let mut connection = postgres::connect_once(url).await?;
        let mut transaction = connection
            .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .await?;
        let version: String = scalar(&mut transaction, "SELECT current_setting('server_version')").await?;
        self.server = format!("PostgreSQL {version}");
        let before = Timestamp::now();
        let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT";
        let clock: i64 = scalar(&mut transaction, clock).await?;
        self.clock_ahead = Timestamp::from_microsecond(clock)
            .ok()
            .map(|clock| clock_ahead(clock, before, Timestamp::now()));
        let encoding: String = scalar(&mut transaction, "SELECT current_setting('server_encoding')").await?;
        if encoding != "UTF8" {
            self.problems.push(StoreProblem::Encoding(encoding));
        }
        let is_standby: bool = scalar(&mut transaction, "SELECT pg_is_in_recovery()").await?;
        let default = "SELECT current_setting('default_transaction_read_only')";
        if is_standby {
            let reason = "it is a standby, or is being recovered".to_owned();
            self.problems.push(StoreProblem::ReadOnly(reason));
        } else if scalar::<String>(&mut transaction, default).await? == "on" {
            let reason = "default_transaction_read_only is on".to_owned();
            self.problems.push(StoreProblem::ReadOnly(reason));
        }
        self.size_bytes = u64::try_from(size_of_postgres(&mut transaction).await?).ok();
        self.rights(&mut transaction).await?;
        self.tables(Backend::Postgres, &mut transaction, depth).await?;
        transaction.rollback().await?;
        Ok(connection.close().await?)
    }

    /// What of the tables that are there the user may not read or write.
    async fn rights(&mut self, transaction: &mut AnyConnection) -> Result<(), StoreError> {
        let names = TABLES.map(|name| format!("('{name}')")).join(", ");
        let missing = format!(
            "SELECT p.name || ' ' || t.name FROM (VALUES {names}) AS t(name), \
             (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS p(name) \
             WHERE NOT COALESCE(has_table_privilege(to_regclass(t.name), p.name), TRUE) ORDER BY 1"
        );
        let rights: Vec<(String,)> = query_as(sqlx::AssertSqlSafe(missing))
            .fetch_all(&mut *transaction)
            .await?;
        if !rights.is_empty() {
            self.problems.push(StoreProblem::Rights {
                user: scalar(transaction, "SELECT current_user::TEXT").await?,
                rights: rights.into_iter().map(|(right,)| right).collect(),
            });
        }
        Ok(())
    }

    async fn tables(
        &mut self,
        backend: Backend,
        connection: &mut AnyConnection,
        depth: Depth,
    ) -> Result<(), StoreError> {
        let applied = applied_migrations(backend, connection).await?.unwrap_or_default();
        self.version = applied.last().map(|(version, _)| *version);
        let needed = self.needed_version;
        match self.version {
            None => self.problems.push(StoreProblem::NoTables),
            Some(found) if found > needed => {
                self.problems.push(StoreProblem::TooNew { found, known: needed });
            }
            Some(found) if found < needed => {
                self.problems.push(StoreProblem::Outdated { found, needed });
            }
            Some(_) if depth == Depth::Thorough => self.count(connection).await?,
            Some(_) => {}
        }
        Ok(())
    }

    async fn count(&mut self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        if self
            .problems
            .iter()
            .any(|p| matches!(p, StoreProblem::Rights { .. }))
        {
            return Ok(());
        }
        for table in COUNTED {
            let count = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let count: i64 = query_scalar(count).fetch_one(&mut *connection).await?;
            self.rows.push((table, count));
        }
        Ok(())
    }
}

async fn scalar<T>(connection: &mut AnyConnection, statement: &'static str) -> Result<T, StoreError>
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>,
{
    Ok(query_scalar(statement).fetch_one(connection).await?)
}

/// How many bytes our tables take, with their indices.
pub(super) async fn size_of_postgres(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    let names = TABLES.map(|name| format!("('{name}')")).join(", ");
    let size = format!(
        "SELECT COALESCE(SUM(pg_total_relation_size(to_regclass(t.name))), 0)::BIGINT FROM (VALUES {names}) AS t(name)"
    );
    Ok(query_scalar(sqlx::AssertSqlSafe(size))
        .fetch_one(connection)
        .await?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::TABLES;
    use crate::store::tests::Database::{self, Postgres, Sqlite};
    use crate::store::tests::temporary;

    #[rstest]
    #[tokio::test]
    async fn all_tables_are_known_to_whoever_looks_at_rights_and_size(
        #[values(Sqlite, Postgres)] database: Database,
    ) {
        let store = temporary(database).await;
        let names = match database {
            Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
            }
            Postgres => "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
        };
        let names: Vec<String> = sqlx::query_scalar(names).fetch_all(&store.pool).await.unwrap();
        let known: Vec<_> = names.iter().filter(|name| *name != "_sqlx_migrations").collect();
        assert_eq!(known, TABLES.iter().collect::<Vec<_>>());
    }
}
