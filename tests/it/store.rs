//! The store as its operator meets it: found or not, read-only, damaged, backed up, shared, put back.

mod check;
mod migrate;

use std::net::TcpListener;
use std::process::Output;
use std::time::Duration;

use crate::common::database;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{Then, Upstream};
use envgate_test_servers::postgres::Database;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const LIST: &str = "/v1/environments";

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn expect_refusal(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    assert!(stderr(output).contains(words), "{}", stderr(output));
}

fn status(envgate: &Envgate) -> (u16, String) {
    envgate.readiness()
}

pub fn name(database: &Database) -> String {
    database.url().split(['/', '?']).nth(3).unwrap().to_owned()
}

/// By way of another database of the same server, which stays as it is.
#[tokio::main(flavor = "current_thread")]
pub async fn execute_beside(database: &Database, statements: &[&str]) {
    let url = database.url().replacen(&name(database), "postgres", 1);
    execute_at(&url, statements).await;
}

#[tokio::main(flavor = "current_thread")]
pub async fn execute(database: &Database, statements: &[&str]) {
    execute_at(&database.url(), statements).await;
}

async fn execute_at(url: &str, statements: &[&str]) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    for statement in statements {
        connection.execute(AssertSqlSafe(*statement)).await.unwrap();
    }
}

#[test]
fn a_command_that_needs_a_store_names_the_one_it_looked_for_and_makes_none() {
    let setup = Setup::new();
    let file = setup.path().join("envgate.db");
    for arguments in [
        &["tenants", "list"][..],
        &["tenants", "delete", "acme"],
        &["keys", "list"],
        &["keys", "create", "--tenant", "acme"],
        &["store", "backup", "copy.db"],
    ] {
        let refused = setup.run(arguments);
        expect_refusal(&refused, &format!("there is no store at {}", file.display()));
        assert!(!file.exists(), "{arguments:?}");
    }
    setup.run_well(&["tenants", "create", "acme"]);
    for arguments in [
        &["keys", "create", "--tenant", "nobody"][..],
        &["keys", "revoke", "sk-eg-XXXXXXXX"],
        &["tenants", "suspend", "nobody"],
    ] {
        expect_refusal(&setup.run(arguments), &format!("looked in {}", file.display()));
    }
    let elsewhere = Database::empty();
    let setup = Setup::new().set("ENVGATE_STORE__URL", &elsewhere.url());
    expect_refusal(
        &setup.run(&["tenants", "list"]),
        "there is no store at the database test_",
    );
}

#[test]
fn a_command_and_a_stop_in_order_leave_one_whole_file() {
    let setup = Setup::new();
    let directory = setup.path().to_owned();
    let has_journal = || directory.join("envgate.db-wal").exists();
    setup.run_well(&["tenants", "create", "acme"]);
    assert!(!has_journal(), "a command leaves no journal");
    setup.run_well(&["tenants", "delete", "acme"]);
    let mut envgate = setup.start();
    assert_eq!(envgate.post(LIST, r#"{"name":"written"}"#).status, 200);
    assert!(has_journal());
    envgate.stop();
    assert!(!has_journal(), "{}", envgate.log());
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("copy.db");
    std::fs::copy(directory.join("envgate.db"), &file).unwrap();
    let copied = Setup::new().set("ENVGATE_STORE__URL", &format!("sqlite:{}", file.display()));
    assert!(copied.run_well(&["tenants", "list"]).contains("demo"));
}

#[test]
fn a_backup_of_a_running_gateway_is_restored_once_it_has_stopped() {
    let mut envgate = Envgate::start();
    let directory = tempfile::tempdir().unwrap();
    let backup = directory.path().join("backup.db");
    let backup = backup.to_str().unwrap();
    envgate.run_well(&["store", "backup", backup]);
    expect_refusal(&envgate.run(&["store", "backup", backup]), "File exists");
    envgate.run_well(&["tenants", "create", "later"]);
    expect_refusal(&envgate.run(&["store", "restore", backup]), "stop it first");
    assert!(envgate.run_well(&["tenants", "list"]).contains("later"));
    envgate.stop();
    envgate.run_well(&["store", "restore", backup]);
    let tenants = envgate.run_well(&["tenants", "list"]);
    assert!(
        tenants.contains("demo") && !tenants.contains("later"),
        "{tenants}"
    );

    let database = database::migrated();
    let setup = Setup::new().set("ENVGATE_STORE__URL", &database.url());
    expect_refusal(&setup.run(&["store", "backup", "copy.db"]), "pg_dump");
}

#[test]
fn what_waiting_cannot_mend_ends_a_start_and_a_check_in_its_own_words() {
    let database = Database::empty();
    let nowhere = database.url().replacen("/test_", "/nowhere_", 1);
    let directory = tempfile::tempdir().unwrap();
    let missing = format!("sqlite:{}/missing/envgate.db", directory.path().display());
    let notes = directory.path().join("notes.txt");
    std::fs::write(&notes, "x".repeat(4096)).unwrap();
    for (url, words) in [
        (nowhere, "the store has no such database"),
        (missing, "/missing cannot be used"),
        (
            format!("sqlite:{}", notes.display()),
            "the store is not a database, or a damaged one",
        ),
    ] {
        let setup = Setup::new().set("ENVGATE_STORE__URL", &url);
        expect_refusal(&setup.run(&["serve"]), words);
        expect_refusal(&setup.run(&["check"]), words);
    }
}

#[test]
fn a_gateway_that_was_ready_goes_on_when_its_store_is_broken_and_says_how() {
    let database = database::migrated();
    let setup = Setup::new().set("ENVGATE_STORE__URL", &database.url());
    let envgate = setup.start();
    let renamed = ["ALTER TABLE revision_tokens RENAME TO gone"];
    execute(&database, &renamed);
    eventually("it says what is wrong", || {
        status(&envgate)
            == (
                200,
                "degraded: the tables of the store are missing or not as envgate makes them, known keys go on".to_owned(),
            )
    });
    envgate.expect_metric("envgate_store_up", 0.0);
    assert_eq!(envgate.get(LIST).status, 200);
    let back = ["ALTER TABLE gone RENAME TO revision_tokens"];
    execute(&database, &back);
    eventually("all is well", || status(&envgate) == (200, "ready".to_owned()));
}

#[test]
fn a_database_that_takes_no_writes_is_called_read_only_by_command_and_gateway() {
    let database = database::migrated();
    let setup = Setup::new().set("ENVGATE_STORE__URL", &database.url());
    let envgate = setup.start();
    let name = name(&database);
    execute_beside(
        &database,
        &[
            &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname LIKE 'test_%'",
        ],
    );
    eventually("the gateway says so", || {
        status(&envgate).1
            == "degraded: the store is read-only at the moment; nothing can be changed, known keys go on"
    });
    assert_eq!(status(&envgate).0, 200);
    expect_refusal(
        &envgate.run(&["keys", "create", "--tenant", "demo"]),
        "the store is read-only at the moment",
    );
    let reset = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    execute_beside(&database, &[&reset]);
    eventually("all is well", || status(&envgate) == (200, "ready".to_owned()));
    envgate.run_well(&["keys", "create", "--tenant", "demo"]);
}

#[test]
fn of_two_tenants_made_at_once_without_a_stamp_one_is_refused_and_where_both_are_nobody_is_served() {
    let upstream = Upstream::always(Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#));
    let setup = Setup::new().upstream(upstream.address);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let creating: Vec<_> = ["one", "two", "three"]
            .map(|name| scope.spawn(|| setup.run(&["tenants", "create", name])))
            .into_iter()
            .collect();
        creating
            .into_iter()
            .map(|create| create.join().unwrap())
            .collect()
    });
    let made = outcomes.iter().filter(|output| output.status.success()).count();
    assert_eq!(made, 1, "{outcomes:?}");
    let tenants = setup.run_well(&["tenants", "list"]);
    assert_eq!(tenants.lines().count(), 2, "{tenants}");

    let url = format!("sqlite:{}", setup.path().join("envgate.db").display());
    let other_settings = Setup::new().set("ENVGATE_STORE__URL", &url);
    let name = tenants
        .lines()
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let key = setup.run_well(&["keys", "create", "--tenant", &name, "--quiet"]);
    let envgate = setup.start_for(&key);
    assert_eq!(envgate.get(LIST).status, 200);
    other_settings.run_well(&["tenants", "create", "against-the-rule"]);
    eventually("it is not ready", || status(&envgate).0 == 503);
    let (_, told) = status(&envgate);
    assert!(told.starts_with("not ready: ownership.stamp is off"), "{told}");
    other_settings.run_well(&["tenants", "delete", "against-the-rule"]);
    eventually("it is ready", || status(&envgate) == (200, "ready".to_owned()));
}

#[test]
fn check_tries_what_serve_would_need_and_tells_all_of_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bad = Setup::new()
        .set("ENVGATE_LISTEN__ADDRESS", &address)
        .set("ENVGATE_QUOTA__REDIS", "redis://localhost/?protocol=resp9")
        .set("ENVGATE_QUOTA__REPLICAS", "2")
        .set("ENVGATE_AUDIT__FILE", "/nowhere/at/all/audit.jsonl")
        .set("ENVGATE_STORE__URL", "sqlite:/nowhere/at/all/envgate.db");
    let checked = bad.run(&["check"]);
    for words in [
        &format!("listen.address: cannot listen on {address}"),
        "store.url: the file of the store cannot be opened: /nowhere/at/all/envgate.db",
        "audit.file: /nowhere/at/all/audit.jsonl: its directory /nowhere/at/all cannot be used",
        "quota.redis: ",
    ] {
        expect_refusal(&checked, words);
    }
    let told = String::from_utf8(checked.stdout).unwrap();
    assert!(told.contains("ok: admin.address: 127.0.0.1:0 is free"), "{told}");

    let good = Setup::new().set("ENVGATE_AUDIT__FILE", "audit.jsonl");
    let told = good.run_well(&["check"]);
    for words in [
        "ok: listen.address: ",
        "is not there yet; serve makes it",
        "ok: audit.file: audit.jsonl is not there yet",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!good.path().join("audit.jsonl").exists(), "nothing is made");

    let running = Envgate::start();
    let beside = Setup::new()
        .set("ENVGATE_LISTEN__ADDRESS", &running.gateway.to_string())
        .set("ENVGATE_ADMIN__ADDRESS", &running.admin.to_string());
    let told = beside.run_well(&["check"]);
    assert!(
        told.contains("is in use, and a gateway runs at admin.address"),
        "{told}"
    );
}

#[test]
fn gateways_on_one_file_keep_no_replies_until_one_is_killed() {
    let upstream = Upstream::always(Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#));
    let shared = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", shared.path().join("envgate.db").display());
    let setup = || {
        Setup::new()
            .set("ENVGATE_STORE__URL", &url)
            .set("ENVGATE_CACHE__TTL", "10m")
            .upstream(upstream.address)
    };
    let first = setup().start();
    let asked_by = |envgate: &Envgate| {
        let before = upstream.seen().len();
        for _ in 0..3 {
            assert_eq!(envgate.get(LIST).status, 200);
        }
        upstream.seen().len() - before
    };
    assert_eq!(asked_by(&first), 1, "alone, it keeps the reply");
    let second = setup().start_for(&first.key);
    for gateway in [&first, &second] {
        gateway.expect_log("another gateway has the file of the store open");
        assert_eq!(asked_by(gateway), 3);
    }
    second.signal("KILL");
    first.expect_log("no other gateway has the store open any more");
    assert_eq!(asked_by(&first), 1);
}

#[test]
fn a_store_that_was_put_back_under_a_running_gateway_is_read_anew() {
    let setup = Setup::new();
    let directory = setup.path().to_owned();
    let mut envgate = setup.start();
    let revoked = envgate.run_well(&["keys", "create", "--tenant", "demo", "--quiet"]);
    let copy = directory.join("copy.db");
    envgate.run_well(&["store", "backup", copy.to_str().unwrap()]);
    envgate.run_well(&["keys", "revoke", &revoked]);
    let forgotten = envgate.run_well(&["keys", "create", "--tenant", "demo", "--quiet"]);
    let ask = |envgate: &Envgate, key: &str| {
        crate::common::client::Request::new(envgate.gateway, "GET", LIST)
            .header("x-api-key", key)
            .send()
            .status
    };
    eventually("both are known", || {
        ask(&envgate, &revoked) == 401 && ask(&envgate, &forgotten) == 200
    });
    put_back(&directory.join("envgate.db"), &copy);
    envgate.run_well(&["tenants", "create", "goes-on"]);
    eventually("it goes by what is there", || {
        ask(&envgate, &revoked) == 200 && ask(&envgate, &forgotten) == 401
    });
    envgate.expect_log("put back to an earlier state or replaced");
    let log = envgate.stop();
    assert!(!log.contains("ERROR"), "{log}");
    assert!(envgate.wait(Duration::from_secs(1)).success());
}

/// Puts the tables of a SQLite store back to those of a copy, as a restore in place does.
#[tokio::main(flavor = "current_thread")]
async fn put_back(store: &std::path::Path, copy: &std::path::Path) {
    let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", store.display()))
        .await
        .unwrap();
    let attach = format!("ATTACH '{}' AS copy", copy.display());
    connection.execute(AssertSqlSafe(attach)).await.unwrap();
    let mut statements = vec![
        "PRAGMA foreign_keys = OFF".to_owned(),
        "BEGIN IMMEDIATE".to_owned(),
    ];
    for table in ["keys", "tenants", "directory_change", "revision_tokens"] {
        statements.push(format!("DELETE FROM main.{table}"));
        statements.push(format!("INSERT INTO main.{table} SELECT * FROM copy.{table}"));
    }
    statements.push("COMMIT".to_owned());
    for statement in statements {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    connection.close().await.unwrap();
}
