//! `envgate store migrate`: by whom tables are made and changed, and what others do until then.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::thread::scope;

use envgate_test_servers::postgres::Database;
use sqlx::{Connection, Executor};

use super::check::{expect, told};
use super::{execute, name};
use crate::common::client::Request;
use crate::common::database;
use crate::common::envgate::{Setup, eventually};

/// A gateway that does not get ready by itself, and its admin address.
struct Waiting(Child, SocketAddr);

impl Waiting {
    fn start(setup: &Setup) -> Self {
        let mut child = setup
            .command(&["serve"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let admin = lines.find(|line| line.contains("admin     http")).unwrap();
        let admin = admin.rsplit("://").next().unwrap().trim().parse().unwrap();
        // What it says later has to have room.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child, admin)
    }

    fn status(&self) -> u16 {
        Request::new(self.1, "GET", "/readyz").send().status
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whoever opens the store may not change it.
fn only_looking(url: Option<&str>) -> Setup {
    let setup = Setup::new().set("ENVGATE_STORE__AUTO_MIGRATE", "false");
    match url {
        Some(url) => setup.set("ENVGATE_STORE__URL", url),
        None => setup,
    }
}

#[test]
fn where_nobody_else_may_serve_waits_and_commands_refuse_until_somebody_migrates() {
    let database = Database::empty();
    for setup in [only_looking(None), only_looking(Some(&database.url()))] {
        expect(
            &told(&setup.run(&["tenants", "create", "acme"])),
            1,
            &["no tables yet", "run envgate store migrate"],
        );
        expect(&told(&setup.run(&["tenants", "list"])), 1, &["there is no store"]);
        let gateway = Waiting::start(&setup);
        eventually("it says that it waits", || gateway.status() == 503);
        expect(
            &told(&setup.run(&["store", "check"])),
            1,
            &["FAULT", "envgate store migrate"],
        );
        assert_eq!(gateway.status(), 503, "nobody made them meanwhile");
        expect(
            &told(&setup.run(&["store", "migrate"])),
            0,
            &["made the tables of "],
        );
        eventually("it is ready", || gateway.status() == 200);
        expect(&told(&setup.run(&["store", "migrate"])), 0, &["already"]);
        setup.run_well(&["tenants", "create", "acme"]);
    }
}

#[test]
fn several_that_migrate_at_once_do_no_harm() {
    let database = Database::empty();
    let setups = [
        Setup::new(),
        Setup::new().set("ENVGATE_STORE__URL", &database.url()),
    ];
    for setup in &setups {
        let outcomes: Vec<_> = scope(|scope| {
            let migrations = [(); 6].map(|()| scope.spawn(|| setup.run(&["store", "migrate"])));
            migrations
                .into_iter()
                .map(|migration| migration.join().unwrap())
                .collect()
        });
        for outcome in &outcomes {
            expect(&told(outcome), 0, &["version"]);
        }
        expect(&told(&setup.run(&["store", "check"])), 0, &["tenants 0"]);
    }
}

#[test]
fn a_newer_store_is_refused_by_all_who_would_use_it_and_stays_as_it_is() {
    let database = database::migrated();
    execute(
        &database,
        &[
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
           VALUES (9999, 'of tomorrow', TRUE, '', 0)",
        ],
    );
    let setup = Setup::new().set("ENVGATE_STORE__URL", &database.url());
    for arguments in [
        &["serve"][..],
        &["check"],
        &["tenants", "create", "acme"],
        &["store", "migrate"],
    ] {
        let words = [
            "schema version 9999",
            "run the envgate that made it or a newer one",
            "backup",
        ];
        expect(&told(&setup.run(arguments)), 1, &words);
    }
    expect(
        &told(&setup.run(&["store", "check"])),
        1,
        &[
            "FAULT",
            "the tables are of version 9999",
            "put the store back to a backup",
        ],
    );
}

#[test]
fn one_user_makes_the_tables_and_another_serves_without_the_right_to() {
    let database = Database::empty();
    let name = name(&database);
    let (owner, user) = (format!("{name}_owner"), format!("{name}_serve"));
    // As docs/store.md has them.
    execute(
        &database,
        &[
            &format!("CREATE ROLE {owner} LOGIN"),
            &format!("CREATE ROLE {user} LOGIN"),
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
            &format!("GRANT USAGE, CREATE ON SCHEMA public TO {owner}"),
            &format!("GRANT USAGE ON SCHEMA public TO {user}"),
            &format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public \
                 GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {user}"
            ),
        ],
    );
    let url = |role: &str| database.url().replace("user=envgate", &format!("user={role}"));
    let unable = Setup::new().set("ENVGATE_STORE__URL", &url(&user));
    expect(
        &told(&unable.run(&["store", "migrate"])),
        1,
        &["the user of the store lacks a right"],
    );
    let migrating = only_looking(Some(&url(&user))).set("ENVGATE_STORE__MIGRATION_URL", &url(&owner));
    expect(
        &told(&migrating.run(&["store", "migrate"])),
        0,
        &["made the tables"],
    );

    let setup = only_looking(Some(&url(&user)));
    expect(&told(&setup.run(&["store", "check"])), 0, &[]);
    let mut envgate = setup.start();
    assert_eq!(envgate.post("/v1/environments", r#"{"name":"one"}"#).status, 200);
    envgate.run_well(&["tenants", "create", "acme"]);
    envgate.run_well(&["keys", "create", "--tenant", "acme"]);
    envgate.run_well(&["tenants", "delete", "acme"]);
    let log = envgate.stop();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    expect(&told(&envgate.run(&["store", "check"])), 0, &["environments 2"]);
    drop(envgate);
    execute(
        &database,
        &[
            &format!("DROP OWNED BY {user}"),
            &format!("DROP OWNED BY {owner} CASCADE"),
            &format!("DROP ROLE {user}"),
            &format!("DROP ROLE {owner}"),
        ],
    );
}

#[test]
fn a_migration_that_is_killed_in_the_middle_leaves_what_was_there() {
    let database = Database::empty();
    let setup = Setup::new().set("ENVGATE_STORE__URL", &database.url());
    // Nobody can make a table of a name that a transaction under way may have taken.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let url = database.url();
    let (mut holder, mut watcher) = runtime.block_on(async {
        let mut holder = sqlx::PgConnection::connect(&url).await.unwrap();
        holder
            .execute("BEGIN; CREATE TABLE audit_clock (id BIGINT)")
            .await
            .unwrap();
        (holder, sqlx::PgConnection::connect(&url).await.unwrap())
    });
    let mut migration = setup.command(&["store", "migrate"]);
    let mut migration = migration
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut count = || -> i64 {
        runtime.block_on(async { sqlx::query_scalar(waiting).fetch_one(&mut watcher).await.unwrap() })
    };
    eventually("it is in the middle", || count() == 1);
    migration.kill().unwrap();
    migration.wait().unwrap();
    runtime.block_on(async { holder.execute("ROLLBACK").await.unwrap() });
    eventually("the server has noticed", || {
        told(&setup.run(&["store", "check"]))
            .1
            .contains("there are no tables yet")
    });
    expect(&told(&setup.run(&["store", "migrate"])), 0, &["made the tables"]);
    expect(&told(&setup.run(&["store", "check"])), 0, &["tenants 0"]);
}

#[test]
fn a_backup_is_of_the_store_as_it_is() {
    let setup = Setup::new();
    setup.run_well(&["tenants", "create", "acme"]);
    let backup = setup.path().join("backup.db").display().to_string();
    setup.run_well(&["store", "backup", &backup]);
    let url = format!("sqlite:{backup}");
    let copy = only_looking(Some(&url));
    expect(&told(&copy.run(&["store", "check"])), 0, &["tenants 1"]);
}
