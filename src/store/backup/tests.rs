use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::Presence;
use crate::store::tests::Database::{Postgres, Sqlite};
use crate::store::tests::{TemporaryDatabase, temporary};

fn file_of(database: &TemporaryDatabase) -> PathBuf {
    PathBuf::from(database.url().strip_prefix("sqlite:").unwrap())
}

#[tokio::test]
async fn a_backup_has_what_was_there_and_a_restore_brings_it_back_with_a_token_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("backup.db");
    let temporary = temporary(Sqlite).await;
    let (store, database) = (&temporary.store, &temporary.database);
    store.create_tenant("acme", "default").await.unwrap();
    let before = store.revision().await.unwrap();
    store.back_up(&backup).await.unwrap();
    let mode = backup.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner only");
    let again = store.back_up(&backup).await.unwrap_err();
    assert!(matches!(again, StoreError::Backup(_)), "{again:?}");
    store.create_tenant("zebra", "default").await.unwrap();
    let later = store.revision().await.unwrap();

    let open = Store::restore(&database.url(), &backup).await.unwrap_err();
    assert!(matches!(open, StoreError::InUse), "{open:?}");
    store.close().await;
    let presence = Presence::join(&database.url()).await.unwrap();
    let under_a_gateway = Store::restore(&database.url(), &backup).await.unwrap_err();
    assert!(
        matches!(under_a_gateway, StoreError::InUse),
        "{under_a_gateway:?}"
    );
    drop(presence);
    Store::restore(&database.url(), &backup).await.unwrap();

    let restored = Store::open_existing(&database.url()).await.unwrap();
    assert_eq!(restored.tenants().await.unwrap().len(), 1);
    let after = restored.revision().await.unwrap();
    assert_eq!(after.number, later.number, "the same number");
    assert_ne!(after.token, later.token, "and another history");
    assert!(restored.changes_since(Some(&later)).await.unwrap().is_none());
    assert!(restored.changes_since(Some(&before)).await.unwrap().is_some());
    restored.close().await;
    let file = file_of(database);
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner only");
}

#[tokio::test]
async fn a_store_that_was_cut_off_or_is_damaged_is_replaced_with_its_journal() {
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("backup.db");
    let temporary = temporary(Sqlite).await;
    let (store, database) = (&temporary.store, &temporary.database);
    store.create_tenant("acme", "default").await.unwrap();
    store.back_up(&backup).await.unwrap();
    store.create_tenant("zebra", "default").await.unwrap();
    let file = file_of(database);
    let journal = PathBuf::from(format!("{}-wal", file.display()));
    let cut_off = (std::fs::read(&file).unwrap(), std::fs::read(&journal).unwrap());
    store.close().await;
    for content in [cut_off.0, vec![b'x'; 8192]] {
        std::fs::write(&file, content).unwrap();
        std::fs::write(&journal, &cut_off.1).unwrap();
        Store::restore(&database.url(), &backup).await.unwrap();
        let restored = Store::open_existing(&database.url()).await.unwrap();
        let names: Vec<_> = restored
            .tenants()
            .await
            .unwrap()
            .into_iter()
            .map(|tenant| tenant.name)
            .collect();
        assert_eq!(names, ["acme"]);
        restored.close().await;
    }
}

#[tokio::test]
async fn what_is_no_backup_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let temporary = temporary(Sqlite).await;
    let (store, database) = (&temporary.store, &temporary.database);
    store.create_tenant("acme", "default").await.unwrap();
    store.close().await;
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "x".repeat(8192)).unwrap();
    let empty = directory.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    for file in [text, empty, directory.path().join("missing.db")] {
        Store::restore(&database.url(), &file).await.unwrap_err();
        let left = Store::open_existing(&database.url()).await.unwrap();
        assert_eq!(left.tenants().await.unwrap().len(), 1, "{}", file.display());
        left.close().await;
    }
    let names: Vec<_> = file_of(database)
        .parent()
        .unwrap()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.contains("restoring")), "{names:?}");
}

#[tokio::test]
async fn a_postgresql_names_what_backs_it_up() {
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("backup.db");
    let store = temporary(Postgres).await;
    let error = store.back_up(&backup).await.unwrap_err();
    assert!(error.to_string().contains("pg_dump"), "{error}");
    let error = Store::restore(&store.database.url(), &backup).await.unwrap_err();
    assert!(error.to_string().contains("pg_restore"), "{error}");
    assert!(!backup.exists());
}
