use std::path::PathBuf;

use super::*;
use crate::config;
use crate::contract::StampKey;
use crate::store::audit::tests::{entry, refusal};
use crate::store::tests::{Database, TemporaryStore, temporary};
use crate::store::{Audit, AuditQuery};

fn open(file: Option<PathBuf>, metrics: &Arc<Metrics>) -> std::io::Result<(Audit, AuditWriter)> {
    let settings = config::Audit {
        is_enabled: true,
        file,
        retention: None,
    };
    Audit::open(&settings, &StampKey::default(), metrics)
}

async fn records(store: &TemporaryStore) -> Vec<AuditRecord> {
    let all = AuditQuery {
        limit: u16::MAX,
        ..AuditQuery::default()
    };
    store.audit(&all).await.unwrap()
}

fn numbered(number: usize) -> AuditEntry {
    AuditEntry {
        request_id: format!("req_{number}"),
        at: Timestamp::from_second(i64::try_from(number).unwrap()).unwrap(),
        ..entry()
    }
}

#[tokio::test]
async fn what_is_left_at_the_end_is_written_in_its_order() {
    let store = temporary(Database::Sqlite).await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let (audit, writer) = open(None, &metrics).unwrap();
    (0..250).for_each(|number| audit.note(numbered(number)));
    writer.run(&store, async {}).await;
    let records = records(&store).await;
    let names: Vec<_> = records
        .iter()
        .rev()
        .map(|record| record.request_id.clone())
        .collect();
    assert_eq!(
        names,
        Vec::from_iter((0..250).map(|number| format!("req_{number}")))
    );
    assert_eq!(metrics.audit_dropped.get(), 0);
}

#[tokio::test]
async fn a_flood_of_one_refusal_is_two_records() {
    let store = temporary(Database::Sqlite).await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let (audit, writer) = open(None, &metrics).unwrap();
    (0..5000).for_each(|_| audit.note(refusal()));
    writer.run(&store, async {}).await;
    let mut repeats: Vec<_> = records(&store)
        .await
        .iter()
        .map(|record| record.repeats)
        .collect();
    repeats.sort_unstable();
    assert_eq!(repeats, [1, 4999]);
    assert_eq!(metrics.audit_dropped.get(), 0);
}

#[tokio::test]
async fn what_does_not_fit_is_counted_and_nobody_waits() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let (audit, _writer) = open(None, &metrics).unwrap();
    (0..1034).for_each(|number| audit.note(numbered(number)));
    assert_eq!(metrics.audit_dropped.get(), 10);
}

#[tokio::test]
async fn what_comes_while_the_store_is_away_is_kept_and_written_when_it_is_back() {
    let store = temporary(Database::Sqlite).await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let (audit, writer) = open(None, &metrics).unwrap();
    let rename = async |statement: &'static str| sqlx::query(statement).execute(&store.pool).await.unwrap();
    rename("ALTER TABLE audit RENAME TO audit_away").await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = writer.run(&store, async { stopped.await.unwrap() });
    let outage = async {
        (0..1100).for_each(|number| audit.note(numbered(number)));
        while metrics.audit_failures.get() == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        (1100..1110).for_each(|number| audit.note(numbered(number)));
        rename("ALTER TABLE audit_away RENAME TO audit").await;
        while records(&store).await.len() < 1034 {
            sleep(Duration::from_millis(10)).await;
        }
        stop.send(()).unwrap();
    };
    tokio::join!(writing, outage);
    assert_eq!(records(&store).await.len(), 1034, "each once");
    assert_eq!(metrics.audit_dropped.get(), 76, "and the rest is counted");
}

#[tokio::test]
async fn a_file_gets_the_same_records_as_lines_and_a_full_disk_stops_nothing() {
    let store = temporary(Database::Sqlite).await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let (audit, writer) = open(Some(path.clone()), &metrics).unwrap();
    (0..3).for_each(|number| audit.note(numbered(number)));
    writer.run(&store, async {}).await;
    let (audit, writer) = open(Some(path.clone()), &metrics).unwrap();
    audit.note(numbered(3));
    writer.run(&store, async {}).await;

    let lines = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let records = records(&store).await;
    let expected: Vec<_> = records
        .iter()
        .rev()
        .map(|record| serde_json::to_value(record).unwrap())
        .collect();
    assert_eq!(lines, expected);

    let (audit, writer) = open(Some(PathBuf::from("/dev/full")), &metrics).unwrap();
    audit.note(numbered(4));
    writer.run(&store, async {}).await;
    assert_eq!(metrics.audit_failures.get(), 1);
    assert_eq!(self::records(&store).await.len(), 5, "the store has it");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_to_is_an_error_at_the_start_that_names_it() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let error = open(Some(PathBuf::from("/nowhere/audit.jsonl")), &metrics).unwrap_err();
    assert!(error.to_string().contains("/nowhere/audit.jsonl"), "{error}");
}
