use std::os::unix::fs::PermissionsExt;

use super::*;

fn url(directory: &tempfile::TempDir, name: &str) -> String {
    format!("sqlite:{}", directory.path().join(name).display())
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_missing_file_is_made_for_its_owner_only_and_so_are_its_journals() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&directory, "new.db")).await.unwrap();
    store.create_tenant("acme", "default").await.unwrap();
    for name in ["new.db", "new.db-wal", "new.db-shm"] {
        assert_eq!(mode(&directory.path().join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_was_written_is_there_when_the_store_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let url = url(&directory, "again.db");
    Store::open(&url)
        .await
        .unwrap()
        .create_tenant("acme", "default")
        .await
        .unwrap();
    let tenants = Store::open(&url).await.unwrap().tenants().await.unwrap();
    assert_eq!(tenants.len(), 1);
}

#[tokio::test]
async fn a_path_may_have_any_characters_but_those_of_a_query() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["with space.db", "100%.db", "ü.db", "a:b.db"] {
        Store::open(&url(&directory, name)).await.unwrap();
        assert!(directory.path().join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn many_can_open_a_new_file_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let url = url(&directory, "race.db");
    let open = (0..4).map(|_| {
        let url = url.clone();
        tokio::spawn(async move { Store::open(&url).await.map(|_| ()) })
    });
    for outcome in futures_util::future::join_all(open).await {
        outcome.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let error = Store::open("sqlite:/nowhere/at/all/envgate.db")
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.contains("/nowhere/at/all/envgate.db"), "{message}");
    assert!(message.contains("its directory /nowhere/at/all "), "{message}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("notes.txt"), "x".repeat(4096)).unwrap();
    let error = Store::open(&url(&directory, "notes.txt")).await.unwrap_err();
    let message = error.to_string();
    assert!(message.contains("notes.txt"), "{message}");
    assert!(message.contains("not a database"), "{message}");
}

#[tokio::test]
async fn any_other_url_is_refused_without_its_password() {
    for (url, named) in [
        ("postgres://envgate:hunter2@db/envgate", "postgres"),
        ("hunter2", "sqlite:"),
        ("envgate:hunter2@db", "sqlite:"),
        ("sqlite:", "path of a file"),
        ("sqlite::memory:", "path of a file"),
        ("sqlite:envgate.db?mode=hunter2", "path of a file"),
    ] {
        let error = Store::open(url).await.unwrap_err();
        assert!(matches!(error, StoreError::BadUrl(_)), "{url}: {error:?}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(named), "{url}: {shown}");
        assert!(!shown.contains("hunter2"), "{url}: {shown}");
    }
}

#[tokio::test]
async fn a_store_that_a_newer_envgate_has_written_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let url = url(&directory, "newer.db");
    let store = Store::open(&url).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of tomorrow', TRUE, x'00', 0)",
    )
    .execute(&store.pool)
    .await
    .unwrap();
    let error = Store::open(&url).await.unwrap_err();
    assert!(matches!(error, StoreError::TooNew { version: 9999 }), "{error:?}");
}

#[tokio::test]
async fn every_connection_waits_for_locks_and_keeps_foreign_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&directory, "pragmas.db")).await.unwrap();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(store.pool.acquire().await.unwrap());
    }
    for mut connection in connections {
        let timeout: i64 = sqlx::query_scalar("SELECT timeout FROM pragma_busy_timeout")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        let keys: i64 = sqlx::query_scalar("SELECT foreign_keys FROM pragma_foreign_keys")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        let journal: String = sqlx::query_scalar("SELECT journal_mode FROM pragma_journal_mode")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!((timeout, keys, journal.as_str()), (5000, 1, "wal"));
    }
}
