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
    Postgres(postgres::Server),
}

impl TemporaryDatabase {
    pub(super) fn new(database: Database) -> Self {
        match database {
            Database::Sqlite => Self::Sqlite(tempfile::tempdir().unwrap()),
            Database::Postgres => Self::Postgres(postgres::Server::start()),
        }
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite:{}", directory.path().join("envgate.db").display()),
            Self::Postgres(server) => server.url(),
        }
    }
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
