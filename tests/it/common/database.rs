//! A PostgreSQL database for a test, with envgate's tables in it.

use envgate::store::Store;
use envgate_test_servers::postgres::Database;

pub fn migrated() -> Database {
    Database::migrated(migrate)
}

#[tokio::main(flavor = "current_thread")]
async fn migrate(url: &str) {
    Store::open(url).await.unwrap().close().await;
}
