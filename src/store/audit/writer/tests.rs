use std::path::PathBuf;

use rstest::rstest;
use tokio::time::sleep;

use jiff::Timestamp;

use super::*;
use crate::store::AuditQuery;
use crate::store::AuditRecord;
use crate::store::audit::tests::{entry, refusal};
use crate::store::tests::{Database, TemporaryStore, temporary};

fn open(file: Option<PathBuf>, metrics: &Arc<Metrics>) -> std::io::Result<(Audit, AuditWriter)> {
    let settings = config::Audit {
        is_enabled: true,
        file,
        spool: None,
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
async fn what_comes_while_the_store_is_away_is_kept_and_written_when_it_is_back() {
    let store = temporary(Database::Sqlite).await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let (audit, writer) = open(Some(path.clone()), &metrics).unwrap();
    let rename = async |statement: &'static str| sqlx::query(statement).execute(&store.pool).await.unwrap();
    rename("ALTER TABLE audit RENAME TO audit_away").await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = writer.run(&store, async { stopped.await.unwrap() });
    let outage = async {
        (0..1100).for_each(|number| audit.note(numbered(number)));
        until(|| metrics.audit_failures.get() > 0).await;
        (1100..1110).for_each(|number| audit.note(numbered(number)));
        until(|| std::fs::read_to_string(&path).unwrap().lines().count() == 1110).await;
        assert_eq!(metrics.audit_pending.get(), 1110);
        rename("ALTER TABLE audit_away RENAME TO audit").await;
        until(|| metrics.audit_pending.get() == 0).await;
        stop.send(()).unwrap();
    };
    let (unrecorded, ()) = tokio::join!(writing, outage);
    assert!(unrecorded.is_none());
    assert_eq!(records(&store).await.len(), 1110, "each once");
    assert_eq!(metrics.audit_dropped.get(), 0);
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(10)).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_record_that_the_store_refuses_for_good_is_put_aside_and_the_others_go_on(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let index = "CREATE UNIQUE INDEX once ON audit (request_id)";
    sqlx::query(index).execute(&store.pool).await.unwrap();
    let (audit, writer) = open(None, &metrics).unwrap();
    (0..30).for_each(|number| audit.note(numbered(number)));
    audit.note(numbered(7));
    (30..60).for_each(|number| audit.note(numbered(number)));
    let unrecorded = writer.run(&store, async {}).await;
    assert_eq!(
        unrecorded,
        Unrecorded {
            writes: 1,
            refusals: 0
        }
    );
    assert_eq!(records(&store).await.len(), 60);
    assert_eq!(metrics.audit_put_aside.get(), 1);
    assert_eq!(metrics.audit_failures.get(), 0, "the store is well");
    assert_eq!(metrics.audit_pending.get(), 0);
}

#[tokio::test]
async fn what_a_store_does_not_take_at_the_end_is_counted() {
    let store = temporary(Database::Sqlite).await;
    sqlx::query("DROP TABLE audit")
        .execute(&store.pool)
        .await
        .unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let (audit, mut writer) = open(None, &metrics).unwrap();
    writer.recorder.timeout_at_end = Duration::from_millis(300);
    (0..250).for_each(|number| audit.note(numbered(number)));
    audit.note(refusal());
    let unrecorded = writer.run(&store, async {}).await;
    let expected = Unrecorded {
        writes: 250,
        refusals: 1,
    };
    assert_eq!(unrecorded, expected);
    assert_eq!(metrics.audit_dropped.get(), 251);
}

#[tokio::test]
async fn the_spool_takes_the_last_records_and_the_next_start_takes_each_in_once() {
    let store = temporary(Database::Sqlite).await;
    let rename = async |statement: &'static str| sqlx::query(statement).execute(&store.pool).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let settings = config::Audit {
        is_enabled: true,
        file: None,
        spool: Some(directory.path().join("spool")),
        retention: None,
    };
    let metrics = Arc::new(Metrics::new().unwrap());
    let open = || Audit::open(&settings, &StampKey::default(), &metrics).unwrap();
    for start in 0..2 {
        let (audit, mut writer) = open();
        writer.recorder.timeout_at_end = Duration::from_millis(300);
        rename("ALTER TABLE audit RENAME TO audit_away").await;
        (start * 150..(start + 1) * 150).for_each(|number| audit.note(numbered(number)));
        assert!(writer.run(&store, async {}).await.is_none(), "nothing is lost");
        rename("ALTER TABLE audit_away RENAME TO audit").await;
    }
    let spooled = std::fs::read(directory.path().join("spool")).unwrap();
    for _ in 0..2 {
        let (audit, writer) = open();
        audit.note(numbered(300));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let taken_in = async {
            until(|| std::fs::read(directory.path().join("spool")).unwrap().is_empty()).await;
            stop.send(()).unwrap();
        };
        tokio::join!(writer.run(&store, async { stopped.await.unwrap() }), taken_in);
        // As if the process had died before it emptied the spool.
        std::fs::write(directory.path().join("spool"), &spooled).unwrap();
    }
    let records = records(&store).await;
    let names: Vec<_> = records
        .iter()
        .rev()
        .map(|record| record.request_id.clone())
        .collect();
    let expected = (0..=300).chain([300]).map(|number| format!("req_{number}"));
    assert_eq!(names, Vec::from_iter(expected), "in the order of their time");
    assert_eq!(metrics.audit_dropped.get(), 0);
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
    assert!(writer.run(&store, async {}).await.is_none(), "the store has it");
    assert_eq!(metrics.audit_file_lost.get(), 1);
    assert_eq!(self::records(&store).await.len(), 5);
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_nothing_up_and_gets_lines_once_somebody_does() {
    let store = temporary(Database::Sqlite).await;
    let metrics = Arc::new(Metrics::new().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let (audit, writer) = open(Some(path.clone()), &metrics).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = writer.run(&store, async { stopped.await.unwrap() });
    let reading = async {
        audit.note(numbered(0));
        until(|| metrics.audit_file_lost.get() == 1 && metrics.audit_pending.get() == 0).await;
        let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(path).unwrap());
        let mut number = 0;
        let mut lost = 0;
        // The reader is there once a line is not lost.
        while metrics.audit_file_lost.get() > lost || number == 0 {
            lost = metrics.audit_file_lost.get();
            number += 1;
            audit.note(numbered(number));
            sleep(Duration::from_millis(300)).await;
        }
        stop.send(()).unwrap();
        (number, read)
    };
    let (_, (number, read)) = tokio::join!(writing, reading);
    let lines = read.await.unwrap();
    assert!(lines.contains(&format!("req_{number}")), "{lines}");
    assert_eq!(records(&store).await.len(), number + 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_to_is_an_error_at_the_start_that_names_it() {
    let metrics = Arc::new(Metrics::new().unwrap());
    let error = open(Some(PathBuf::from("/nowhere/audit.jsonl")), &metrics).unwrap_err();
    assert!(error.to_string().contains("/nowhere/audit.jsonl"), "{error}");
}
