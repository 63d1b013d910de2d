use rstest::rstest;

use super::*;
use crate::store::AuditQuery;
use crate::store::audit::tests::record;
use crate::store::tests::Database::{self, Postgres, Sqlite};
use crate::store::tests::temporary;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const RETENTION: Duration = Duration::from_secs(90 * 24 * 60 * 60);

fn day(day: i64) -> Timestamp {
    Timestamp::from_second(day * DAY.as_secs()).unwrap()
}

/// Writes one record a day.
async fn write(store: &Store, days: std::ops::RangeInclusive<i64>) {
    let records: Vec<_> = days.map(|day| record(day * DAY.as_secs())).collect();
    store.write_audit(&records).await.unwrap();
}

async fn days(store: &Store) -> Vec<i64> {
    let all = AuditQuery {
        limit: u16::MAX,
        ..AuditQuery::default()
    };
    let records = store.audit(&all).await.unwrap();
    let days = records.iter().map(|record| record.at.as_second() / DAY.as_secs());
    days.rev().collect()
}

/// A pass of a process that has just started.
async fn start_at(store: &Store, now: Timestamp) -> (u64, SignedDuration) {
    store.delete_old_audit(RETENTION, &mut None, now).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_clock_that_starts_far_ahead_deletes_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    write(&store, 100..=180).await;
    assert_eq!(start_at(&store, day(180)).await, (0, SignedDuration::ZERO));
    for start in 0..3 {
        let (deleted, ahead) = start_at(&store, day(280)).await;
        assert_eq!(deleted, 0, "start {start}");
        assert!(ahead > DAY * 99, "{ahead:?}");
        // What is written with that clock proves nothing.
        write(&store, 280 + start..=280 + start).await;
    }
    assert_eq!(days(&store).await.len(), 84);
}

#[rstest]
#[tokio::test]
async fn a_store_from_before_goes_by_its_last_record(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    write(&store, 80..=180).await;
    let (deleted, ahead) = start_at(&store, day(280)).await;
    assert_eq!(deleted, 11, "those that are too old beside the last");
    assert!(ahead > DAY * 99, "{ahead:?}");
    assert_eq!(days(&store).await[0], 91);
}

#[rstest]
#[tokio::test]
async fn a_clock_that_was_put_right_is_believed_again(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    write(&store, 100..=180).await;
    start_at(&store, day(280)).await;
    assert_eq!(start_at(&store, day(180)).await, (0, SignedDuration::ZERO));
    assert_eq!(store.audit_clock().await.unwrap(), Some(day(180)));
}

#[tokio::test(start_paused = true)]
async fn time_that_was_missed_is_caught_up_with_at_twice_its_speed() {
    let clock = RetentionClock {
        seen: day(180),
        since: Instant::now(),
    };
    tokio::time::advance(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(clock.limit(), day(182) + BELIEVED_AHEAD);
}
