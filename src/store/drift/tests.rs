use rstest::rstest;

use super::*;
use crate::store::tests::{Database, temporary};

fn pending(pointer: &str, at: i64, count: u64) -> PendingFinding {
    let finding = Finding {
        operation: Operation::Update,
        document: ReplyDocument::Environment,
        kind: FindingKind::UnknownField,
        pointer: pointer.to_owned(),
        detail: None,
        example: Some("\"…\"".to_owned()),
    };
    let at = Timestamp::from_second(at).unwrap();
    PendingFinding {
        id: finding.id(),
        finding,
        first_seen: at,
        last_seen: at,
        count,
    }
}

async fn all(store: &Store) -> Vec<StoredFinding> {
    store.drift(&DriftQuery::default()).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn what_several_gateways_have_seen_is_one_finding(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let seen = pending("/state", 200, 2);
    let new = store.add_drift(std::slice::from_ref(&seen)).await.unwrap();
    assert_eq!(new, std::slice::from_ref(&seen.id));
    assert!(
        store
            .add_drift(&[pending("/state", 100, 3)])
            .await
            .unwrap()
            .is_empty(),
        "it is known there"
    );
    assert!(
        store
            .add_drift(&[pending("/state", 300, 4)])
            .await
            .unwrap()
            .is_empty()
    );
    let found = all(&store).await;
    let [found] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (
            found.first_seen.as_second(),
            found.last_seen.as_second(),
            found.seen
        ),
        (100, 300, 9)
    );
    assert_eq!(found.finding, seen.finding);
    assert_eq!(found.state, FindingState::New);
}

#[rstest]
#[tokio::test]
async fn gateways_that_write_the_same_at_once_count_all_of_it_and_tell_of_it_once(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let batch: Vec<_> = (0..20)
        .map(|number| pending(&format!("/f{number}"), 100, 1))
        .collect();
    let backwards: Vec<_> = batch.iter().rev().cloned().collect();
    let writes = (0..8).map(|writer| {
        let (store, batch) = (
            store.store.clone(),
            if writer % 2 == 0 {
                batch.clone()
            } else {
                backwards.clone()
            },
        );
        tokio::spawn(async move { store.add_drift(&batch).await.unwrap().len() })
    });
    let mut told = 0;
    for write in writes.collect::<Vec<_>>() {
        told += write.await.unwrap();
    }
    assert_eq!(told, 20);
    assert!(all(&store).await.iter().all(|finding| finding.seen == 8));
}

#[rstest]
#[tokio::test]
async fn what_finds_no_room_is_counted_as_one(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let flood = |from: usize| -> Vec<_> {
        (from..from + 200)
            .map(|number| pending(&format!("/f{number}"), 100, 1_000_000))
            .collect()
    };
    store.add_drift(&flood(0)).await.unwrap();
    let new = store.add_drift(&flood(200)).await.unwrap();
    assert_eq!(new.len(), 56 + 1, "the remainder is new as well");
    assert!(store.add_drift(&flood(200)).await.unwrap().is_empty());
    let found = all(&store).await;
    assert_eq!(found.len(), 256 + 1);
    let remainder = found
        .iter()
        .find(|found| found.finding.kind == FindingKind::Remainder)
        .unwrap();
    assert_eq!(
        remainder.seen,
        PendingFinding::MAX_REMAINDER,
        "counting stops somewhere"
    );
}

#[rstest]
#[tokio::test]
async fn an_acknowledged_finding_stays_known_when_it_is_seen_again(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let (one, other) = (pending("/one", 100, 1), pending("/other", 100, 1));
    store.add_drift(&[one.clone(), other.clone()]).await.unwrap();
    let ids = [one.id.clone(), "drf_none".to_owned()];
    assert_eq!(store.acknowledge_drift(Some(&ids)).await.unwrap(), 1);
    assert_eq!(
        store.acknowledge_drift(Some(&ids)).await.unwrap(),
        0,
        "it is known already"
    );
    store.add_drift(std::slice::from_ref(&one)).await.unwrap();
    let new = DriftQuery {
        state: Some(FindingState::New),
        ..DriftQuery::default()
    };
    let found = store.drift(&new).await.unwrap();
    assert_eq!(
        found.iter().map(|found| &found.id).collect::<Vec<_>>(),
        [&other.id]
    );
    let of_list = DriftQuery {
        operation: Some(Operation::List),
        ..DriftQuery::default()
    };
    assert!(store.drift(&of_list).await.unwrap().is_empty());
    assert_eq!(store.acknowledge_drift(None).await.unwrap(), 1);
    let counts = store.count_drift().await.unwrap();
    assert_eq!(counts, [("unknown_field".to_owned(), "known".to_owned(), 2)]);
}

#[rstest]
#[tokio::test]
async fn what_is_not_seen_again_is_forgotten_and_nothing_by_the_clock_alone(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let day = 24 * 3600;
    store
        .add_drift(&[pending("/old", day, 1), pending("/new", 10 * day, 1)])
        .await
        .unwrap();
    let days = |days: u64| std::time::Duration::from_secs(days * 24 * 3600);
    assert_eq!(
        store.forget_drift(days(9)).await.unwrap(),
        0,
        "long ago, but not long before the last"
    );
    assert_eq!(store.forget_drift(days(8)).await.unwrap(), 1);
    assert_eq!(all(&store).await.len(), 1);
}
