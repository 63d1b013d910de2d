//! `envgate store check`: what there is to say of a store, and what to do where it is no good.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use envgate_test_servers::postgres::Database;

use super::{execute, execute_beside, name};
use crate::common::database;
use crate::common::envgate::{Envgate, Setup};

fn check(url: &str) -> (Option<i32>, String) {
    told(
        &Setup::new()
            .set("ENVGATE_STORE__URL", url)
            .run(&["store", "check"]),
    )
}

pub(super) fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[track_caller]
pub(super) fn expect(found: &(Option<i32>, String), code: i32, words: &[&str]) {
    assert_eq!(found.0, Some(code), "{}", found.1);
    for words in words {
        assert!(found.1.contains(words), "{words:?} is not in:\n{}", found.1);
    }
}

#[test]
fn a_good_store_is_told_with_version_size_and_rows_beside_a_gateway_that_uses_it() {
    let envgate = Envgate::start();
    assert_eq!(envgate.post("/v1/environments", r#"{"name":"one"}"#).status, 200);
    let words = [
        "ok ",
        "SQLite 3.",
        "tables of version",
        " MiB",
        "tenants 1",
        "keys 1",
        "environments 2",
    ];
    expect(&told(&envgate.run(&["store", "check"])), 0, &words);

    let database = database::migrated();
    let found = check(&database.url());
    expect(
        &found,
        0,
        &["ok ", "PostgreSQL ", "tables of version", "tenants 0"],
    );
    assert_eq!(found.1.lines().count(), 1, "{}", found.1);
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let setup = Setup::new();
    let found = told(&setup.run(&["store", "check"]));
    expect(&found, 0, &["there is no file yet", "store.url"]);
    assert!(!setup.path().join("envgate.db").exists());
    expect(
        &check("sqlite:/nowhere/at/all/envgate.db"),
        1,
        &["make the directory"],
    );
    expect(&check(&Database::empty().url()), 0, &["there are no tables yet"]);
    let secret = check("postgres://envgate:hunter2@127.0.0.1:1/envgate");
    expect(&secret, 1, &["cannot be reached", "look whether it runs"]);
    assert!(!secret.1.contains("hunter2"), "{}", secret.1);
}

#[test]
fn a_damaged_file_is_told_with_what_to_do() {
    let setup = Setup::new();
    setup.run_well(&["tenants", "create", "acme"]);
    let path = setup.path().join("envgate.db");
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::End(-4096)).unwrap();
    file.write_all(&[0xff; 4096]).unwrap();
    drop(file);
    expect(
        &told(&setup.run(&["store", "check"])),
        1,
        &["FAULT", "damaged", "envgate store restore"],
    );
}

#[test]
fn a_file_that_others_may_read_is_a_warning_and_no_failure() {
    let setup = Setup::new();
    setup.run_well(&["tenants", "create", "acme"]);
    fs::set_permissions(setup.path().join("envgate.db"), Permissions::from_mode(0o644)).unwrap();
    let words = ["warning", "the file has mode 644", "chmod 600 /"];
    expect(&told(&setup.run(&["store", "check"])), 0, &words);
}

#[test]
fn a_lock_that_somebody_holds_is_waited_for_and_told() {
    let setup = Setup::new();
    setup.run_well(&["tenants", "create", "acme"]);
    let holder = hold(&setup.path().join("envgate.db"));
    let words = ["warning", "holds the lock to write", "fuser"];
    expect(&told(&setup.run(&["store", "check"])), 0, &words);
    drop(holder);
}

/// A connection with a transaction that writes.
fn hold(path: &std::path::Path) -> (tokio::runtime::Runtime, sqlx::SqliteConnection) {
    use sqlx::{Connection, Executor};
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let connection = runtime.block_on(async {
        let url = format!("sqlite://{}", path.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        connection.execute("BEGIN IMMEDIATE").await.unwrap();
        connection
    });
    (runtime, connection)
}

#[test]
fn a_postgresql_that_takes_no_writes_or_no_texts_is_a_fault() {
    let database = database::migrated();
    let name = name(&database);
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    execute_beside(&database, &[&read_only]);
    expect(
        &check(&database.url()),
        1,
        &["FAULT", "default_transaction_read_only is on", "name the primary"],
    );

    let ascii = format!("{name}_ascii");
    let make = format!("CREATE DATABASE {ascii} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
    execute_beside(&database, &[&make]);
    let found = check(&database.url().replacen(&name, &ascii, 1));
    expect(&found, 1, &["its encoding is SQL_ASCII", "ENCODING 'UTF8'"]);
    execute_beside(&database, &[&format!("DROP DATABASE {ascii}")]);
}

#[test]
fn a_right_that_is_missing_is_named_with_who_lacks_it() {
    let database = database::migrated();
    let user = format!("{}_serve", name(&database));
    execute(
        &database,
        &[
            &format!("CREATE ROLE {user} LOGIN"),
            &format!("GRANT USAGE ON SCHEMA public TO {user}"),
            &format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {user}"),
            &format!("REVOKE INSERT ON audit FROM {user}"),
        ],
    );
    let url = database.url().replace("user=envgate", &format!("user={user}"));
    expect(
        &check(&url),
        1,
        &[
            "FAULT",
            &format!("the user {user} may not INSERT audit"),
            "GRANT SELECT, INSERT",
        ],
    );
    execute(&database, &[&format!("GRANT INSERT ON audit TO {user}")]);
    expect(&check(&url), 0, &[]);
    execute(
        &database,
        &[&format!("DROP OWNED BY {user}"), &format!("DROP ROLE {user}")],
    );
}
