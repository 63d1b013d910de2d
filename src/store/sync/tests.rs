use std::time::Instant;

use jiff::Timestamp;
use rstest::rstest;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinHandle;

use super::*;
use crate::store::tests::{Database, TemporaryStore, temporary};
use crate::tenancy::{KeyTerms, KeyText};
use envgate_test_servers::postgres::CUT_LISTENERS;

/// So long that what is seen in a test was not found by asking.
const NEVER: Duration = Duration::from_secs(60 * 60);

/// A store with one key, and a directory that follows it.
struct Synced {
    store: TemporaryStore,
    directory: Arc<Directory>,
    key: KeyText,
    following: JoinHandle<()>,
}

impl Synced {
    async fn every(period: Duration, database: Database) -> Self {
        let store = temporary(database).await;
        store.create_tenant("acme", "default").await.unwrap();
        let key = store.create_key("acme", &KeyTerms::default()).await.unwrap();
        let directory = Arc::new(Directory::default());
        let listen_url = (database == Database::Postgres).then(|| store.database.url());
        let (syncing, synced) = (store.store.clone(), Arc::clone(&directory));
        let following = tokio::spawn(async move {
            let metrics = Arc::new(Metrics::new().unwrap());
            let sync = DirectorySync {
                store: &syncing,
                directory: synced,
                metrics,
                forget: |_: &[EnvironmentId]| {},
            };
            sync.run(listen_url.as_deref(), period).await;
        });
        let this = Self {
            store,
            directory,
            key,
            following,
        };
        this.until("the key is known", |synced| synced.lets_in(&synced.key))
            .await;
        this
    }

    fn lets_in(&self, key: &KeyText) -> bool {
        let caller = self.directory.caller(key.reveal().as_bytes(), Timestamp::now());
        caller.is_ok()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !holds(self) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "did not come about: {what}"
            );
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Cuts the connections of all who listen; gives their number.
    async fn cut(&self) -> usize {
        let cut: Vec<bool> = sqlx::query_scalar(CUT_LISTENERS)
            .fetch_all(&self.store.pool)
            .await
            .unwrap();
        cut.len()
    }

    async fn until_it_listens_and_is_cut(&self) {
        let start = Instant::now();
        while self.cut().await == 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "nobody listens");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Synced {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[rstest]
#[tokio::test]
async fn a_store_that_was_put_back_to_an_earlier_state_is_read_anew(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let synced = Synced::every(PERIOD, database).await;
    let earlier = synced.store.revision().await.unwrap().number;
    let later = synced
        .store
        .create_key("acme", &KeyTerms::default())
        .await
        .unwrap();
    synced.store.create_tenant("zebra", "gold").await.unwrap();
    synced
        .until("the later key is known", |synced| synced.lets_in(&later))
        .await;
    synced
        .until("the later tenant is known", |synced| {
            synced.directory.count_on(&["gold".to_owned()]) == 1
        })
        .await;

    // As a backup has it, which then goes on by itself: the same numbers, and another history.
    let mut transaction = synced.store.pool.begin().await.unwrap();
    for (table, column) in [
        ("keys", "change_number"),
        ("tenants", "change_number"),
        ("revision_tokens", "number"),
    ] {
        let statement = format!("DELETE FROM {table} WHERE {column} > $1");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(earlier)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    sqlx::query("UPDATE directory_change SET number = $1")
        .bind(earlier)
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    synced.store.revoke_key(synced.key.reveal()).await.unwrap();
    synced.store.create_tenant("other", "default").await.unwrap();

    synced
        .until("the key that was revoked is dead", |synced| {
            !synced.lets_in(&synced.key)
        })
        .await;
    synced
        .until("what the store no longer has is dropped", |synced| {
            !synced.lets_in(&later) && synced.directory.count_on(&["gold".to_owned()]) == 0
        })
        .await;
    synced
        .until("the tenants are those of the store", |synced| {
            synced.directory.count_on(&["default".to_owned()]) == 2
        })
        .await;
    let key = synced
        .store
        .create_key("other", &KeyTerms::default())
        .await
        .unwrap();
    synced
        .until("what comes then is followed", |synced| synced.lets_in(&key))
        .await;
}

#[tokio::test]
async fn changes_of_an_envgate_that_writes_no_tokens_are_followed_and_tokens_are_not_kept_for_ever() {
    let synced = Synced::every(PERIOD, Database::Sqlite).await;
    sqlx::query("UPDATE directory_change SET number = number + 20000")
        .execute(&synced.store.pool)
        .await
        .unwrap();
    let key = synced
        .store
        .create_key("acme", &KeyTerms::default())
        .await
        .unwrap();
    synced
        .until("the new key is known", |synced| synced.lets_in(&key))
        .await;
    let tokens: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM revision_tokens")
        .fetch_one(&synced.store.pool)
        .await
        .unwrap();
    assert_eq!(tokens, 1, "those of 10,000 changes before are gone");
}

#[tokio::test]
async fn a_database_that_becomes_read_only_is_told_of_and_left_when_it_can_be_written_to_again() {
    let synced = Synced::every(PERIOD, Database::Postgres).await;
    let name: String = sqlx::query_scalar("SELECT current_database()::TEXT")
        .fetch_one(&synced.store.pool)
        .await
        .unwrap();
    let mut operator = PgConnection::connect(&synced.store.database.url()).await.unwrap();
    // For connections that are made from now on, as after a failover.
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    operator.execute(sqlx::AssertSqlSafe(read_only)).await.unwrap();
    operator
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
    synced
        .until("it is told", |synced| {
            let problem = synced.store.health.problem();
            problem.is_some_and(|problem| problem.contains("the store is read-only"))
        })
        .await;
    let error = synced.store.revoke_key(synced.key.reveal()).await.unwrap_err();
    assert_eq!(error.fault(), Some(StoreFault::ReadOnly), "{error:?}");

    let writable = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    operator.execute(sqlx::AssertSqlSafe(writable)).await.unwrap();
    synced
        .until("all is well", |synced| synced.store.health.problem().is_none())
        .await;
    synced.store.revoke_key(synced.key.reveal()).await.unwrap();
    synced
        .until("the key is dead", |synced| !synced.lets_in(&synced.key))
        .await;
}

#[tokio::test]
async fn a_change_is_told_of_by_postgresql_before_anybody_asks() {
    let synced = Synced::every(NEVER, Database::Postgres).await;
    let other = Store::open(&synced.store.database.url()).await.unwrap();
    for _ in 0..3 {
        let key = other.create_key("acme", &KeyTerms::default()).await.unwrap();
        synced
            .until("the new key is known", |synced| synced.lets_in(&key))
            .await;
        other.revoke_key(key.reveal()).await.unwrap();
        synced
            .until("the key is dead", |synced| !synced.lets_in(&key))
            .await;
    }
    assert!(synced.lets_in(&synced.key), "other keys go on");
}

#[tokio::test]
async fn what_happens_while_nobody_listens_is_told_of_when_somebody_listens_again() {
    let synced = Synced::every(NEVER, Database::Postgres).await;
    for _ in 0..2 {
        synced.until_it_listens_and_is_cut().await;
        let key = synced.store.create_key("acme", &KeyTerms::default()).await;
        let key = key.unwrap();
        synced
            .until("the new key is known", |synced| synced.lets_in(&key))
            .await;
    }
}

#[rstest]
#[tokio::test]
async fn a_change_that_nobody_is_told_of_is_found_by_asking(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let synced = Synced::every(PERIOD, database).await;
    let mut transaction = synced.store.pool.begin().await.unwrap();
    for statement in [
        "UPDATE directory_change SET number = number + 1 WHERE id = 1",
        "UPDATE keys SET revoked_at = created_at, change_number = (SELECT number FROM directory_change)",
    ] {
        sqlx::query(statement).execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    synced
        .until("the key is dead", |synced| !synced.lets_in(&synced.key))
        .await;
}
