use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, Executor, PgPool};

use super::error::within;
use super::transaction::query;
use super::{StoreError, StoreHealth};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/postgres");

const CONNECTIONS: u32 = 8;
/// Short, so that whoever follows the store soon notices that it is away, and that it is back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The advisory lock under which tables are made and changed: `envgate` in ASCII.
const MIGRATION_LOCK: i64 = 0x65_6e76_6761_7465;

/// Opens the database that a `postgres://` URL names, for whoever brings its schema up to date.
pub(super) async fn connect(url: &str, health: &Arc<StoreHealth>) -> Result<AnyPool, StoreError> {
    // A pool keeps trying until its time is up and then says only that; one connection says what is wrong.
    connect_once(url).await?.close().await?;
    let health = Arc::clone(health);
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .before_acquire(move |_, connection| {
            let may_use = health.may_use(connection.age);
            Box::pin(async move { Ok(may_use) })
        })
        .connect(url)
        .await?;
    Ok(pool)
}

pub(super) async fn connect_once(url: &str) -> Result<AnyConnection, StoreError> {
    // The reason is left out: it could quote the URL, and that has a password.
    url.parse::<PgConnectOptions>().map_err(|_| {
        StoreError::BadUrl(
            "a PostgreSQL store is postgres://USER:PASSWORD@HOST:PORT/DATABASE, with options after a ?"
                .to_owned(),
        )
    })?;
    install_default_drivers();
    within(CONNECT_TIMEOUT, AnyConnection::connect(url)).await
}

/// Brings the schema up to date; of several that start at once one does it and the others wait.
///
/// It is all one transaction, and the lock ends with it: one that belonged to the session would stay behind in a
/// pooler. The migrator prepares its statements under names, so these are taken away before and after.
pub(super) async fn migrate(url: &str) -> Result<(), StoreError> {
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.set_locking(false);
    let mut connection = connect_once(url).await?;
    let mut transaction = connection.begin().await?;
    query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *transaction)
        .await?;
    transaction.execute("DEALLOCATE ALL").await?;
    migrator.run_direct(None, &mut *transaction, false).await?;
    transaction.execute("DEALLOCATE ALL").await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(())
}

/// Whether a connection goes to a PostgreSQL.
pub(super) fn is_connected_by(connection: &AnyConnection) -> bool {
    connection.backend_name() == "PostgreSQL"
}

/// A pool for one connection more, to listen on. Nothing connects yet, and nothing that happens to it is logged.
pub(super) fn pool_to_listen(url: &str) -> Option<PgPool> {
    let options: PgConnectOptions = url.parse().ok()?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.disable_statement_logging());
    Some(pool)
}

/// Host and database of a URL, without a user or password.
pub(super) fn name(url: &str) -> String {
    url.parse::<PgConnectOptions>().map_or_else(
        |_| "a PostgreSQL database".to_owned(),
        |options| {
            let host = match options.get_socket() {
                Some(directory) => directory.display().to_string(),
                None => format!("{}:{}", options.get_host(), options.get_port()),
            };
            let database = options.get_database().unwrap_or(options.get_username());
            format!("the database {database} on {host}")
        },
    )
}
