//! A PostgreSQL database for a test, with envgate's tables in it.

use envgate_test_servers::postgres::Database;

use super::envgate::Setup;

pub fn migrated() -> Database {
    Database::migrated(|url| {
        Setup::new()
            .set("ENVGATE_STORE__URL", url)
            .run_well(&["tenants", "list"]);
    })
}
