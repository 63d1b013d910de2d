//! What must outlive the process: tenants, keys and the environments of the embedded service, in SQLite.
//!
//! The queries keep to what SQLite and PostgreSQL have in common: columns TEXT, BIGINT and BLOB, placeholders
//! `$1`, and writes that compare a revision and try again instead of holding locks.

mod cursor;
mod directory;
mod environments;
mod error;
mod follow;
mod keys;
mod open;
mod tenants;

use sqlx::AnyPool;

pub use directory::Changes;
pub use environments::{Page, PageRequest};
pub use error::StoreError;
pub use keys::ListedKey;

/// An open store. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
}

/// What people may call a tenant, a plan or a key: 1 to 64 characters, none of control.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The time of a write, RFC 3339 with microseconds.
fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use std::ops::Deref;

    use super::Store;

    /// A store in a directory that goes away with it.
    pub(super) struct TemporaryStore {
        pub(super) store: Store,
        pub(super) directory: tempfile::TempDir,
    }

    impl Deref for TemporaryStore {
        type Target = Store;

        fn deref(&self) -> &Store {
            &self.store
        }
    }

    pub(super) async fn temporary() -> TemporaryStore {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("envgate.db").display());
        let store = Store::open(&url).await.unwrap();
        TemporaryStore { store, directory }
    }
}
