use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use envgate_test_servers::postgres;
use jiff::Timestamp;
use rstest::rstest;
use sqlx::migrate::Migrator;

use super::*;
use crate::environment::{Environment, EnvironmentId};
use crate::store::tests::Database::{self, Postgres, Sqlite};
use crate::store::tests::{TemporaryDatabase, temporary};
use crate::store::{AuditQuery, StoreFault};
use crate::tenancy::{KeyTerms, Tenant};

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

#[rstest]
#[tokio::test]
async fn what_was_written_is_there_when_the_store_is_opened_again(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let database = TemporaryDatabase::empty(database);
    let first = Store::open(&database.url()).await.unwrap();
    first.create_tenant("acme", "default").await.unwrap();
    let again = Store::open(&database.url()).await.unwrap();
    assert_eq!(again.tenants().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_path_may_have_any_characters_but_those_of_a_query() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["with space.db", "100%.db", "ü.db", "a:b.db"] {
        Store::open(&url(&directory, name)).await.unwrap();
        assert!(directory.path().join(name).exists(), "{name}");
    }
}

#[rstest]
#[tokio::test]
async fn many_can_open_a_new_store_at_once(#[values(Sqlite, Postgres)] database: Database) {
    let database = TemporaryDatabase::empty(database);
    let open = (0..4).map(|_| {
        let url = database.url();
        tokio::spawn(async move { Store::open(&url).await.map(|_| ()) })
    });
    for outcome in futures_util::future::join_all(open).await {
        outcome.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_for_now_and_does_not_show_the_password() {
    let closed = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // Bound, so that nobody else has the port, and never listening.
    closed
        .bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = closed.local_addr().unwrap().as_socket().unwrap();
    let url = format!("postgres://envgate:hunter2@{address}/envgate");
    let error = Store::open(&url).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_postgresql_is_reached_over_tls_that_is_proven_to_be_its_own() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = postgres::Server::start_on_tcp(|directory| {
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let certificate = write("server.pem", own.cert.pem());
        let key = write("server.key", own.signing_key.serialize_pem());
        vec![
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", certificate.display()),
            format!("ssl_key_file={}", key.display()),
        ]
    });
    let url = server.url();
    let directory = tempfile::tempdir().unwrap();
    let verified = |root: String| {
        let path = directory.path().join("root.pem");
        std::fs::write(&path, root).unwrap();
        format!("{url}?sslmode=verify-full&sslrootcert={}", path.display())
    };
    let store = Store::open(&verified(own.cert.pem())).await.unwrap();
    let is_tls: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_ssl WHERE ssl AND pid = pg_backend_pid()")
            .fetch_one(&store.pool)
            .await
            .unwrap();
    assert_eq!(is_tls, 1);

    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let error = Store::open(&verified(stranger.cert.pem())).await.unwrap_err();
    assert_eq!(error.fault(), Some(StoreFault::Tls), "{error:?}");
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let error = Store::open("sqlite:/nowhere/at/all/envgate.db")
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Some(StoreFault::File), "{error:?}");
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
        ("mysql://envgate:hunter2@db/envgate", "mysql"),
        ("postgres:envgate:hunter2@db", "postgres://"),
        (
            "postgres://envgate:hunter2@db/envgate?sslmode=perhaps",
            "postgres://",
        ),
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

#[rstest]
#[tokio::test]
async fn a_store_that_a_newer_envgate_has_written_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of tomorrow', TRUE, $1, 0)",
    )
    .bind(vec![0_u8])
    .execute(&store.pool)
    .await
    .unwrap();
    let error = Store::open(&store.database.url()).await.unwrap_err();
    assert!(matches!(error, StoreError::TooNew { version: 9999 }), "{error:?}");
}

#[tokio::test]
async fn every_connection_waits_for_locks_and_keeps_foreign_keys() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&directory, "pragmas.db")).await.unwrap();
    let mut connections = Vec::new();
    for _ in 0..sqlite::CONNECTIONS {
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

/// A store as an envgate left it that knew so many migrations, and nobody has opened since.
async fn of_version(database: &TemporaryDatabase, count: usize) -> sqlx::AnyPool {
    let (url, migrations) = match database {
        TemporaryDatabase::Sqlite(_) => (database.url() + "?mode=rwc", &sqlite::MIGRATIONS),
        TemporaryDatabase::Postgres(_) => (database.url(), &crate::store::postgres::MIGRATIONS),
    };
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let known = migrations.iter().take(count).cloned().collect();
    Migrator::with_migrations(known).run(&pool).await.unwrap();
    pool
}

/// The URL of a store that the first envgate has made: a tenant, a key and an environment are in it.
async fn of_the_first_version(database: &TemporaryDatabase, environment: &Environment) -> String {
    let pool = of_version(database, 1).await;
    let rows = [
        "UPDATE directory_change SET number = 2",
        "INSERT INTO tenants (id, name, created_at, is_suspended, change_number) \
         VALUES ('ten_1', 'acme', '2026-01-01T00:00:00.000000Z', 1, 1)",
    ];
    for row in rows {
        sqlx::query(row).execute(&pool).await.unwrap();
    }
    sqlx::query(
        "INSERT INTO keys (digest, id, tenant_id, created_at, revoked_at, change_number) \
         VALUES ($1, 'sk-eg-abcdefgh', 'ten_1', '2026-01-01T00:00:00.000000Z', NULL, 2)",
    )
    .bind(vec![7_u8; 32])
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO environments (id, created_at_micros, is_archived, revision, document) VALUES ($1, $2, 0, 1, $3)",
    )
    .bind(environment.id.as_str())
    .bind(environment.created_at.as_microsecond())
    .bind(serde_json::to_string(environment).unwrap())
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
    database.url()
}

#[rstest]
#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date_with_all_that_is_in_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let database = TemporaryDatabase::empty(database);
    let params = serde_json::from_str(r#"{"name":"old"}"#).unwrap();
    let id = EnvironmentId::generate().unwrap();
    let environment = Environment::create(params, id, Timestamp::UNIX_EPOCH).unwrap();
    let url = of_the_first_version(&database, &environment).await;
    let store = Store::open(&url).await.unwrap();

    let tenants = store.tenants().await.unwrap();
    assert_eq!(tenants.len(), 1);
    assert_eq!(tenants[0].name, "acme");
    assert_eq!(tenants[0].plan, Tenant::DEFAULT_PLAN);
    assert!(tenants[0].is_suspended);
    let changes = store.changes_since(None).await.unwrap().unwrap();
    assert_eq!(changes.revision.unwrap().number, 2);
    assert_eq!(changes.tenants, tenants);
    let key = &changes.keys[0];
    assert_eq!(key.digest.as_bytes(), &[7; 32]);
    assert_eq!(
        (key.expires_at, &key.restrictions, key.is_revoked),
        (None, &None, false)
    );
    let listed = store.keys(None).await.unwrap();
    assert_eq!(listed[0].last_used_at, None);
    assert_eq!(store.environment(&environment.id).await.unwrap(), environment);

    let everything = AuditQuery {
        limit: 10,
        ..AuditQuery::default()
    };
    assert_eq!(store.audit(&everything).await.unwrap(), []);
    store.create_key("acme", &KeyTerms::default()).await.unwrap();
    assert_eq!(
        store.revision().await.unwrap().number,
        3,
        "it goes on from where it was"
    );
}

#[rstest]
#[tokio::test]
async fn records_of_the_audit_from_before_say_neither_who_acted_nor_from_where(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let database = TemporaryDatabase::empty(database);
    let pool = of_version(&database, 8).await;
    let insert = |id: &'static str| {
        let statement = "INSERT INTO audit (id, at, tenant_id, tenant_name, key_id, operation, outcome, request_id, repeats) \
             VALUES ($1, '2026-01-01T00:00:00.000000Z', 'ten_1', 'acme', 'sk-eg-abcdefgh', 'update', 'ok', 'req_1', 1)";
        sqlx::query(statement).bind(id)
    };
    insert("aud_1").execute(&pool).await.unwrap();
    let store = Store::open(&database.url()).await.unwrap();
    // As the gateway that was there before goes on to do until it is replaced.
    insert("aud_2").execute(&pool).await.unwrap();
    pool.close().await;
    let everything = AuditQuery {
        limit: 10,
        ..AuditQuery::default()
    };
    let records = store.audit(&everything).await.unwrap();
    let ids: Vec<_> = records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, ["aud_2", "aud_1"]);
    for record in &records {
        assert_eq!(
            (&record.actor, &record.client_address),
            (&None, &None),
            "{record:?}"
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_store_that_has_to_be_there_is_named_and_not_made(#[values(Sqlite, Postgres)] database: Database) {
    let database = TemporaryDatabase::empty(database);
    let error = Store::open_existing(&database.url()).await.unwrap_err();
    let StoreError::Missing(store) = error else {
        panic!("{error:?}");
    };
    match &database {
        TemporaryDatabase::Sqlite(directory) => {
            assert_eq!(store, directory.path().join("envgate.db").display().to_string());
            assert_eq!(
                directory.path().read_dir().unwrap().count(),
                0,
                "nothing was made"
            );
        }
        TemporaryDatabase::Postgres(_) => assert!(store.contains("the database test_"), "{store}"),
    }
    let looked = Store::open_to_look(&database.url()).await.unwrap();
    assert!(
        matches!(looked, None | Some((_, Schema::Missing))),
        "no table was made"
    );
    Store::open(&database.url()).await.unwrap().close().await;
    Store::open_existing(&database.url()).await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_closed_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&directory, "whole.db")).await.unwrap();
    store.create_tenant("acme", "default").await.unwrap();
    store.close().await;
    let names: Vec<_> = directory.path().read_dir().unwrap().collect();
    assert_eq!(names.len(), 1, "no journal is left: {names:?}");
    std::fs::copy(
        directory.path().join("whole.db"),
        directory.path().join("copy.db"),
    )
    .unwrap();
    let copy = Store::open(&url(&directory, "copy.db")).await.unwrap();
    assert_eq!(copy.tenants().await.unwrap().len(), 1);
}

/// Where a later migration cannot be done, those before it are not done either: whatever ends one halfway leaves the
/// version that was there.
#[rstest]
#[tokio::test]
async fn several_migrations_are_done_together_or_not_at_all(#[values(Sqlite, Postgres)] database: Database) {
    let database = TemporaryDatabase::empty(database);
    let pool = of_version(&database, 2).await;
    sqlx::query("CREATE TABLE audit_clock (id BIGINT)")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    Store::migrate(&database.url()).await.unwrap_err();
    let (store, schema) = Store::open_to_look(&database.url()).await.unwrap().unwrap();
    assert_eq!(schema, Schema::Outdated { version: 2 });
    sqlx::query("DROP TABLE audit_clock")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    let (before, after) = Store::migrate(&database.url()).await.unwrap();
    assert_eq!(before, Some(2));
    assert_eq!(
        Store::migrate(&database.url()).await.unwrap(),
        (Some(after), after)
    );
}
