//! What the tests of the store share.

use std::ops::Deref;

use envgate_test_servers::postgres;

use super::Store;

/// What a test runs on: each runs on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Database {
    Sqlite,
    Postgres,
}

/// A database that goes away with the test.
pub(super) enum TemporaryDatabase {
    Sqlite(tempfile::TempDir),
    Postgres(postgres::Database),
}

impl TemporaryDatabase {
    /// Nothing is in it, not even tables.
    pub(super) fn empty(database: Database) -> Self {
        match database {
            Database::Sqlite => Self::Sqlite(envgate_test_servers::temporary_directory()),
            Database::Postgres => Self::Postgres(postgres::Database::empty()),
        }
    }

    /// The same, but that the tables may be there already.
    fn new(database: Database) -> Self {
        match database {
            Database::Sqlite => Self::empty(database),
            Database::Postgres => Self::Postgres(postgres::Database::migrated(migrate)),
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite:{}", directory.path().join("envgate.db").display()),
            Self::Postgres(database) => database.url(),
        }
    }
}

/// Runs on a thread of its own, since who asks is in a runtime already.
fn migrate(url: &str) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async { Store::open(url).await.unwrap().pool.close().await });
        });
    });
}

/// A store in a database that goes away with it.
pub(super) struct TemporaryStore {
    pub(super) store: Store,
    pub(super) database: TemporaryDatabase,
}

impl Deref for TemporaryStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(super) async fn temporary(database: Database) -> TemporaryStore {
    let database = TemporaryDatabase::new(database);
    let store = Store::open(&database.url()).await.unwrap();
    TemporaryStore { store, database }
}
