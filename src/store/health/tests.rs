use envgate_test_servers::postgres::Server;
use futures_util::future::join_all;
use rstest::rstest;
use sqlx::{Connection, Executor, PgConnection};

use crate::store::tests::Database::{self, Postgres, Sqlite};
use crate::store::tests::temporary;
use crate::store::{Store, StoreError, StoreFault};

#[track_caller]
fn expect_fault(error: &StoreError, fault: StoreFault, words: &str) {
    assert_eq!(error.fault(), Some(fault), "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
    assert!(!error.may_pass(), "waiting does not mend it: {error}");
}

#[tokio::test]
async fn a_postgresql_that_will_never_let_envgate_in_says_why() {
    let server = Server::start_on_tcp(|directory| {
        let path = directory.join("hba.conf");
        let rules = "host all locked 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
        std::fs::write(&path, rules).unwrap();
        vec![format!("hba_file={}", path.display())]
    });
    let url = server.url();
    let mut superuser = PgConnection::connect(&url).await.unwrap();
    superuser.execute("CREATE ROLE guest LOGIN").await.unwrap();
    for (url, fault, words) in [
        (
            url.replace("envgate@", "locked:hunter2@"),
            StoreFault::Credentials,
            "does not accept this user or password",
        ),
        (
            url.replace("/postgres", "/nowhere"),
            StoreFault::MissingDatabase,
            "no such database",
        ),
        (
            url.replace("envgate@", "guest@"),
            StoreFault::Rights,
            "lacks a right",
        ),
        (
            format!("{url}?sslmode=require"),
            StoreFault::Tls,
            "do not agree on TLS",
        ),
    ] {
        let error = Store::open(&url).await.unwrap_err();
        expect_fault(&error, fault, words);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[rstest]
#[tokio::test]
async fn tables_that_are_gone_are_named_as_what_is_wrong(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    for table in ["keys", "tenants"] {
        let statement = sqlx::AssertSqlSafe(format!("DROP TABLE {table}"));
        sqlx::query(statement).execute(&store.pool).await.unwrap();
    }
    let error = store.tenants().await.unwrap_err();
    expect_fault(&error, StoreFault::Tables, "tables of the store are missing");
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_told_as_that() {
    let directory = tempfile::tempdir().unwrap();
    let error = Store::open(&format!("sqlite:{}", directory.path().display())).await;
    expect_fault(&error.unwrap_err(), StoreFault::File, "cannot be opened");
}

/// Lets all connections of a store refuse every write, as SQLite does where the disk or the file does not allow it.
async fn refuse_writes(store: &Store, pragma: &'static str) {
    all_are_idle(store).await;
    let connections = (0..store.pool.size()).map(|_| store.pool.acquire());
    for connection in join_all(connections).await {
        connection.unwrap().execute(pragma).await.unwrap();
    }
    all_are_idle(store).await;
}

/// For one that is on its way back the pool would make a new one.
async fn all_are_idle(store: &Store) {
    while store.pool.num_idle() < usize::try_from(store.pool.size()).unwrap() {
        tokio::task::yield_now().await;
    }
}

#[rstest]
#[case("PRAGMA query_only = ON", StoreFault::ReadOnly, "the store is read-only")]
#[case(
    "PRAGMA max_page_count = 1",
    StoreFault::Full,
    "the disk of the store is full"
)]
#[tokio::test]
async fn a_file_that_takes_no_writes_is_read_from_and_called_what_it_is(
    #[case] pragma: &'static str,
    #[case] fault: StoreFault,
    #[case] words: &str,
) {
    let store = temporary(Sqlite).await;
    assert_eq!(store.health.problem(), None);
    refuse_writes(&store, pragma).await;
    let mut outcome = store.create_tenant("acme", "default").await.map(drop);
    // A page that has room takes some rows yet.
    for number in 0..1000 {
        if outcome.is_err() {
            break;
        }
        outcome = store
            .create_tenant(&format!("{number:064}"), "default")
            .await
            .map(drop);
    }
    let error = outcome.unwrap_err();
    assert_eq!(error.fault(), Some(fault), "{error:?}");
    assert!(error.may_pass(), "{error}");
    let problem = store.health.problem().unwrap();
    assert!(
        problem.contains(words) && problem.contains("nothing can be changed"),
        "{problem}"
    );
    store.tenants().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_takes_no_writes_is_replaced_by_one_that_does() {
    let store = temporary(Sqlite).await;
    refuse_writes(&store, "PRAGMA query_only = ON").await;
    store.create_tenant("acme", "default").await.unwrap_err();
    store.create_tenant("acme", "default").await.unwrap();
    assert_eq!(store.health.problem(), None);
}

#[rstest]
#[tokio::test]
async fn what_was_to_be_written_is_refused_without_a_word_on_the_store(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    store.create_tenant("acme", "default").await.unwrap_err();
    store.delete_tenant("nobody").await.unwrap_err();
    assert_eq!(store.health.problem(), None);
}
