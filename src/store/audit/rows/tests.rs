use rstest::rstest;
use serde_json::json;

use super::*;
use crate::store::audit::tests::record;
use crate::store::tests::Database::{self, Postgres, Sqlite};
use crate::store::tests::temporary;

fn query() -> AuditQuery {
    AuditQuery {
        limit: 100,
        ..AuditQuery::default()
    }
}

async fn seconds(store: &Store, query: AuditQuery) -> Vec<i64> {
    let records = store.audit(&query).await.unwrap();
    records.iter().map(|record| record.at.as_second()).collect()
}

#[rstest]
#[tokio::test]
async fn a_record_is_read_as_it_was_written_and_twice_is_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let bare = AuditRecord {
        environment: None,
        status: None,
        actor: None,
        client_address: None,
        ..record(1)
    };
    let full = AuditRecord {
        at: Timestamp::from_microsecond(1_780_048_800_123_456).unwrap(),
        id: AuditRecord::new_id(Timestamp::now()).unwrap(),
        error: Some("policy".to_owned()),
        repeats: 41,
        change: Difference::parse(json!([{"op": "add", "path": "/name", "value": "ü\u{0}"}]).to_string())
            .ok(),
        ..record(2)
    };
    let written = [bare.clone(), full.clone()];
    store.write_audit(&written).await.unwrap();
    store.write_audit(&written).await.unwrap();
    assert_eq!(store.audit(&query()).await.unwrap(), [full, bare]);
}

#[rstest]
#[tokio::test]
async fn records_are_read_newest_first_and_on_from_before_one(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let records: Vec<_> = (1..=5).map(record).collect();
    store.write_audit(&records).await.unwrap();
    let mut asked = AuditQuery { limit: 2, ..query() };
    let mut read = Vec::new();
    for newer in [10, 11, 12, 13] {
        let records = store.audit(&asked).await.unwrap();
        read.extend(records.iter().map(|record| record.at.as_second()));
        // One that comes meanwhile is newer, and nobody who goes on sees it.
        store.write_audit(&[record(newer)]).await.unwrap();
        asked.before = records.last().map(|last| last.id.clone()).or(asked.before);
    }
    assert_eq!(read, [5, 4, 3, 2, 1]);
}

#[rstest]
#[tokio::test]
async fn every_part_of_a_query_narrows_it(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    let mut records: Vec<_> = (1..=6).map(record).collect();
    records[1].tenant.name = "umbrella".to_owned();
    records[2].tenant.id = "ten_2".to_owned();
    records[3].environment = None;
    records[4].operation = "delete".to_owned();
    records[5].outcome = "refused".to_owned();
    records[5].error = Some("policy".to_owned());
    store.write_audit(&records).await.unwrap();

    let text = |text: &str| Some(text.to_owned());
    let second = |second| Timestamp::from_second(second).ok();
    for (asked, expected) in [
        (
            AuditQuery {
                tenant: text("acme"),
                ..query()
            },
            vec![6, 5, 4, 3, 1],
        ),
        (
            AuditQuery {
                tenant: text("ten_1"),
                ..query()
            },
            vec![6, 5, 4, 2, 1],
        ),
        (
            AuditQuery {
                environment: text("env_1"),
                ..query()
            },
            vec![6, 5, 3, 2, 1],
        ),
        (
            AuditQuery {
                operation: text("delete"),
                ..query()
            },
            vec![5],
        ),
        (
            AuditQuery {
                outcome: text("refused"),
                ..query()
            },
            vec![6],
        ),
        (
            AuditQuery {
                outcome: text("policy"),
                ..query()
            },
            vec![6],
        ),
        (
            AuditQuery {
                from: second(3),
                until: second(5),
                ..query()
            },
            vec![4, 3],
        ),
        (
            AuditQuery {
                tenant: text("acme"),
                operation: text("update"),
                until: second(4),
                ..query()
            },
            vec![3, 1],
        ),
        (
            AuditQuery {
                tenant: text("' OR 1=1 --"),
                ..query()
            },
            vec![],
        ),
    ] {
        assert_eq!(seconds(&store, asked.clone()).await, expected, "{asked:?}");
    }
}

#[rstest]
#[tokio::test]
async fn records_from_before_a_time_are_forgotten_however_many(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let records: Vec<_> = (1..=1203).map(record).collect();
    store.write_audit(&records).await.unwrap();
    let before = Timestamp::from_second(1201).unwrap();
    assert_eq!(store.forget_audit(before).await.unwrap(), 1200);
    assert_eq!(seconds(&store, query()).await, [1203, 1202, 1201]);
    assert_eq!(store.forget_audit(before).await.unwrap(), 0);
}
