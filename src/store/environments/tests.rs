use rstest::rstest;
use std::collections::BTreeMap;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::environment::{CreateParams, UpdateParams};
use crate::store::tests::Database::{self, Postgres, Sqlite};
use crate::store::tests::temporary;

/// The environment that was created `second` seconds after 1970.
fn created(second: i64) -> Environment {
    let params = CreateParams {
        name: format!("number {second}"),
        description: None,
        config: None,
        metadata: BTreeMap::new(),
        scope: None,
    };
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
    Environment::create(params, EnvironmentId::generate().unwrap(), now).unwrap()
}

async fn filled(store: &Store, count: i64) -> Vec<Environment> {
    let mut environments = Vec::new();
    for second in 1..=count {
        let environment = created(second);
        store.insert_environment(&environment).await.unwrap();
        environments.push(environment);
    }
    environments.reverse();
    environments
}

fn request(limit: u16, after: Option<ListPosition>) -> PageRequest {
    PageRequest {
        include_archived: false,
        limit,
        after,
    }
}

#[rstest]
#[tokio::test]
async fn what_is_put_in_can_be_read_and_taken_away_once(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    let environment = created(1);
    store.insert_environment(&environment).await.unwrap();
    assert_eq!(store.environment(&environment.id).await.unwrap(), environment);
    let again = store.insert_environment(&environment).await.unwrap_err();
    assert!(matches!(again, StoreError::Conflict));

    store.delete_environment(&environment.id).await.unwrap();
    let read = store.environment(&environment.id).await.unwrap_err();
    assert!(matches!(read, StoreError::NotFound));
    let deleted = store.delete_environment(&environment.id).await.unwrap_err();
    assert!(matches!(deleted, StoreError::NotFound));
}

#[rstest]
#[tokio::test]
async fn pages_have_all_environments_newest_first_and_none_twice(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let all = filled(&store, 7).await;
    for limit in [1, 2, 3, 7, 100] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.environments(&request(limit, cursor)).await.unwrap();
            assert!(page.environments.len() <= usize::from(limit));
            seen.extend(page.environments);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "in pages of {limit}");
    }
}

#[rstest]
#[tokio::test]
async fn a_cursor_outlives_the_environments_around_it(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    let all = filled(&store, 6).await;
    let first = store.environments(&request(2, None)).await.unwrap();
    for gone in [&all[0], &all[1], &all[2]] {
        store.delete_environment(&gone.id).await.unwrap();
    }
    store.insert_environment(&created(100)).await.unwrap();
    let second = store.environments(&request(2, first.next)).await.unwrap();
    assert_eq!(second.environments, all[3..5]);
}

#[rstest]
#[tokio::test]
async fn environments_of_one_microsecond_are_told_apart_by_their_ids(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    for _ in 0..5 {
        store.insert_environment(&created(1)).await.unwrap();
    }
    let first = store.environments(&request(3, None)).await.unwrap();
    let second = store.environments(&request(3, first.next)).await.unwrap();
    let mut ids: Vec<_> = [first.environments, second.environments]
        .concat()
        .into_iter()
        .map(|environment| environment.id)
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted_by(|newer, older| newer > older));
}

#[rstest]
#[tokio::test]
async fn archived_environments_are_listed_only_where_they_are_asked_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let all = filled(&store, 3).await;
    let archive = |stored: &Environment| Ok::<_, StoreError>(stored.archive(Timestamp::now()));
    store.update_environment(&all[1].id, archive).await.unwrap();

    let listed = store.environments(&request(20, None)).await.unwrap();
    assert_eq!(listed.environments, [all[0].clone(), all[2].clone()]);
    let everything = PageRequest {
        include_archived: true,
        ..request(20, None)
    };
    let listed = store.environments(&everything).await.unwrap();
    assert_eq!(listed.environments.len(), 3);
    assert!(listed.environments[1].is_archived());
}

#[rstest]
#[tokio::test]
async fn a_refused_change_leaves_the_environment_as_it_was(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    let stored = filled(&store, 1).await.remove(0);
    let refused = store
        .update_environment(&stored.id, |_| Err::<Environment, _>(StoreError::Conflict))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Conflict)),
        "the refusal comes out"
    );
    assert_eq!(store.environment(&stored.id).await.unwrap(), stored);

    let missing = EnvironmentId::parse("env_missing").unwrap();
    let error = store
        .update_environment(&missing, |stored| Ok::<_, StoreError>(stored.clone()))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound));
}

#[rstest]
#[tokio::test]
async fn of_many_changes_at_once_all_are_there_afterwards(#[values(Sqlite, Postgres)] database: Database) {
    let store = &temporary(database).await;
    let stored = filled(store, 1).await.remove(0);
    let id = &stored.id;
    let changes = (0..40).map(|n| async move {
        let params = UpdateParams {
            metadata: BTreeMap::from([(format!("key {n}"), Some("written".to_owned()))]),
            ..UpdateParams::default()
        };
        let change = |stored: &Environment| {
            stored
                .merge(&params, Timestamp::UNIX_EPOCH)
                .map_err(|_| StoreError::Conflict)
        };
        store.update_environment(id, change).await
    });
    for outcome in join_all(changes).await {
        outcome.unwrap();
    }
    let changed = store.environment(id).await.unwrap();
    assert_eq!(changed.metadata.len(), 40);
    assert_eq!(
        changed.updated_at,
        stored.updated_at + SignedDuration::from_micros(40),
        "each of them moved updated_at"
    );
}
