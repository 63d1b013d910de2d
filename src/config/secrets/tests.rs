use std::fs;

use crate::config::load::tests::{faults, settings};

#[test]
fn a_secret_comes_from_a_variable_or_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    fs::write(&path, "sk-ant-3\r\n").unwrap();
    let text = format!("[upstream]\nurl = \"https://a.example\"\ncredential = {{ file = {path:?} }}");
    assert_eq!(
        settings(&text, &[]).upstream.service.unwrap().credential.reveal(),
        "sk-ant-3"
    );

    let text = "[upstream]\nurl = \"https://a.example\"\ncredential = { env = \"ENVGATE_KEY_OF_MINE\" }";
    let environment = [("ENVGATE_KEY_OF_MINE", "sk-ant-4")];
    let service = settings(text, &environment).upstream.service.unwrap();
    assert_eq!(
        service.credential.reveal(),
        "sk-ant-4",
        "a secret may be in a variable with our prefix"
    );
}

#[test]
fn a_secret_comes_from_a_credential_of_systemd() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("upstream"), "sk-ant-5\n").unwrap();
    let text =
        |name: &str| format!("[upstream]\nurl = \"https://a.example\"\ncredential.credential = \"{name}\"");
    let place = [("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap())];
    let service = settings(&text("upstream"), &place).upstream.service.unwrap();
    assert_eq!(service.credential.reveal(), "sk-ant-5");
    for (name, environment, told) in [
        ("other", &place[..], "other cannot be read: No such file"),
        ("upstream", &[], "LoadCredential=upstream:/path"),
        ("../upstream", &place, "without a slash"),
        ("..", &place, "without a slash"),
        ("", &place, "without a slash"),
    ] {
        let faults = faults(&text(name), environment).join("\n");
        assert!(faults.contains(told), "{name}: {faults}");
    }
}

#[test]
fn a_file_without_end_is_no_secret() {
    let faults = faults("admin.token.file = \"/dev/zero\"", &[]).join("\n");
    assert!(faults.contains("larger than 65536 bytes"), "{faults}");
}

#[test]
fn a_secret_that_is_plain_or_cannot_be_used_is_a_fault_that_does_not_show_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    fs::write(&path, "hunter2\nhunter2\n").unwrap();
    let two_lines = format!("{{ file = {path:?} }}");
    let absent = format!("{{ file = {:?} }}", directory.path().join("absent"));
    for (value, problem) in [
        (
            "\"hunter2\"",
            "never written here in plain; write { env = \"NAME\" } or { file = \"path\" }, or set ENVGATE_UPSTREAM__CREDENTIAL",
        ),
        (
            "{ env = \"ABSENT\" }",
            "the environment variable ABSENT is not set",
        ),
        ("{ env = \"EMPTY\" }", "the secret is empty"),
        (
            "{ env = \"SPACE\" }",
            "another character that a header cannot carry",
        ),
        (
            "{ env = \"A\", file = \"b\" }",
            "expected { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }",
        ),
        (
            "{ value = \"hunter2\" }",
            "expected { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }",
        ),
        (
            "{ env = 1 }",
            "expected { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }",
        ),
        (
            "{}",
            "expected { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }",
        ),
        (
            "7",
            "expected { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }",
        ),
        (&two_lines, "another character that a header cannot carry"),
        (&absent, "cannot be read: No such file"),
        // The second fault, of a value that is no TOML, is left out: what was parsed of it may be a secret.
        ("hunter2", "not TOML"),
    ] {
        let text = format!("[upstream]\nurl = \"https://a.example\"\ncredential = {value}");
        let environment = [("EMPTY", ""), ("SPACE", "hunter2 ")];
        let faults = faults(&text, &environment);
        let told = faults.join("\n");
        assert!(told.contains(problem), "{value} gave {told}");
        assert!(!told.contains("hunter2"), "{value} is shown in {told}");
    }
}

#[test]
fn a_store_url_with_a_password_is_never_plain() {
    for url in [
        "postgres://me:hunter2@db/envgate",
        "postgres://db/envgate?password=hunter2",
        "sqlite://me:hunter2@x",
    ] {
        let faults = faults(&format!("[store]\nurl = \"{url}\""), &[]);
        assert_eq!(
            faults,
            [
                "envgate.toml:2:7: store.url: a secret is never written here in plain; write { env = \"NAME\" } or { file = \"path\" }, or set ENVGATE_STORE__URL"
            ]
        );
    }
    let settings = settings(
        "[store]\nurl = { env = \"DATABASE_URL\" }",
        &[("DATABASE_URL", "sqlite:/var/lib/e.db")],
    );
    assert_eq!(settings.store.url.reveal(), "sqlite:/var/lib/e.db");
}

#[test]
fn a_store_is_a_sqlite_file_or_a_postgresql_database() {
    for url in [
        "postgres://me@db/envgate?sslmode=verify-full",
        "postgresql:///envgate?host=/run/postgresql",
        "sqlite:envgate.db",
    ] {
        let settings = settings(&format!("[store]\nurl = \"{url}\""), &[]);
        assert_eq!(settings.store.url.reveal(), url);
    }
    let environment = [("ENVGATE_STORE__URL", "postgres://me:hunter2@db/envgate")];
    assert_eq!(settings("", &environment).store.url.reveal(), environment[0].1);
    for url in [
        "mysql://db/envgate",
        "postgres:envgate",
        "postgres://[/envgate",
        "envgate.db",
        "sqlite:",
    ] {
        let faults = faults(&format!("[store]\nurl = \"{url}\""), &[]);
        assert_eq!(
            faults,
            [
                "envgate.toml:2:7: store.url: expected \"sqlite:\" and the path of a file, or \"postgres://\", a host and a database"
            ],
            "{url}"
        );
    }
}

#[test]
fn nothing_shows_a_secret_in_debug() {
    let environment = [
        ("ENVGATE_UPSTREAM__URL", "https://a.example"),
        ("ENVGATE_UPSTREAM__CREDENTIAL", "hunter2"),
    ];
    let shown = format!("{:?}", settings("", &environment));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_password_that_would_make_a_url_be_misread_is_a_fault_that_hints_at_the_encoding() {
    for (section, key, url) in [
        ("quota", "redis", "redis://:hun@ter2@127.0.0.1/"),
        ("quota", "redis", "redis://:hun#ter2@127.0.0.1/"),
        ("quota", "redis", "redis://me:12#ter2@127.0.0.1/"),
        ("quota", "redis", "rediss://:hun/ter2@127.0.0.1/"),
        ("quota", "redis", "redis://:hun?ter2@127.0.0.1/"),
        ("quota", "redis", "redis://:100%ter2@127.0.0.1/"),
        ("store", "url", "postgres://me:hun#ter2@127.0.0.1/envgate"),
    ] {
        let text = format!("quota.replicas = 2\n{section}.{key}.env = \"URL\"\n");
        let told = faults(&text, &[("URL", url)]).join("\n");
        assert!(told.contains("`@` has to be written as `%40`"), "{url}: {told}");
        assert!(!told.contains("ter2"), "{told}");
    }
    for url in [
        "redis://:hun%40t%23er2@127.0.0.1/1",
        "redis://127.0.0.1/0?protocol=resp3",
        "unix:///run/redis.sock?pass=hun%40ter2",
    ] {
        let text = "[quota]\nreplicas = 2\nredis.env = \"URL\"\n";
        assert_eq!(settings(text, &[("URL", url)]).quota.redis.unwrap().reveal(), url);
    }
}
