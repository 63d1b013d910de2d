use std::time::Instant;

use jiff::Timestamp;
use rstest::rstest;
use tokio::task::JoinHandle;

use super::*;
use crate::store::tests::{Database, TemporaryStore, temporary};
use crate::tenancy::{KeyTerms, KeyText};
use envgate_test_servers::postgres::CUT_LISTENERS;

/// So long that what is seen in a test was not found by asking.
const NEVER: Duration = Duration::from_secs(60 * 60);
/// How long a key that was revoked may live.
const LONGEST_LIFE: Duration = Duration::from_millis(1500);

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
        let (syncing, synced) = (store.store.clone(), Arc::clone(&directory));
        let following = tokio::spawn(async move {
            let metrics = Arc::new(Metrics::new().unwrap());
            syncing
                .sync_directory_every(period, synced, metrics, |_| {})
                .await;
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
    let revoked = Instant::now();
    synced
        .until("the key is dead", |synced| !synced.lets_in(&synced.key))
        .await;
    assert!(revoked.elapsed() < LONGEST_LIFE, "{:?}", revoked.elapsed());
}
