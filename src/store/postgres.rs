use std::time::Duration;

use sqlx::any::{AnyPoolOptions, install_default_drivers};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, PgPool};

use super::StoreError;
use super::error::within;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations/postgres");

const CONNECTIONS: u32 = 8;
/// Short, so that whoever follows the store soon notices that it is away, and that it is back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the database that a `postgres://` URL names, and brings its schema up to date.
pub(super) async fn open(url: &str) -> Result<AnyPool, StoreError> {
    let pool = connect(url).await?;
    // Under an advisory lock of the database, so that of two that start at once one waits.
    MIGRATIONS.run(&pool).await?;
    Ok(pool)
}

/// Opens the database that a `postgres://` URL names and leaves it as it is.
pub(super) async fn connect(url: &str) -> Result<AnyPool, StoreError> {
    // The reason is left out: it could quote the URL, and that has a password.
    url.parse::<PgConnectOptions>().map_err(|_| {
        StoreError::BadUrl(
            "a PostgreSQL store is postgres://USER:PASSWORD@HOST:PORT/DATABASE, with options after a ?"
                .to_owned(),
        )
    })?;
    install_default_drivers();
    // A pool keeps trying until its time is up and then says only that; one connection says what is wrong.
    let first = within(CONNECT_TIMEOUT, AnyConnection::connect(url)).await?;
    first.close().await?;
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect(url)
        .await?;
    Ok(pool)
}

/// Whether a connection goes to a PostgreSQL.
pub(super) fn is_connected_by(connection: &AnyConnection) -> bool {
    connection.backend_name() == "PostgreSQL"
}

/// A pool for one connection more, to the database that another pool goes to; none where that is no PostgreSQL.
///
/// Nothing connects yet, and nothing that happens to it is logged.
pub(super) fn pool_to_listen(pool: &AnyPool) -> Option<PgPool> {
    let options = pool.connect_options();
    if !matches!(options.database_url.scheme(), "postgres" | "postgresql") {
        return None;
    }
    let options = PgConnectOptions::try_from(&*options).ok()?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options.disable_statement_logging());
    Some(pool)
}
