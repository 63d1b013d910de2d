use std::fs;
use std::time::Duration;

use super::*;
use crate::config::Circuit;
use crate::config::source::COMPILED_IN;
use crate::config::{LogFormat, SETTINGS, from_process};
use crate::contract::{Rule, StampKey};

pub(in crate::config) fn source(text: &str, environment: &[(&str, &str)]) -> Source {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Source::new("envgate.toml", text, environment)
}

pub(in crate::config) fn settings(text: &str, environment: &[(&str, &str)]) -> Settings {
    load(&source(text, environment)).unwrap_or_else(|faults| panic!("{faults}"))
}

pub(in crate::config) fn faults(text: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let faults = load(&source(text, environment)).expect_err("the settings are wrong");
    faults.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn every_file_under_config_is_good() {
    let environment = [
        ("ANTHROPIC_API_KEY", "sk-ant-test"),
        ("ANTHROPIC_API_KEY_RESEARCH", "sk-ant-research"),
    ];
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        settings(&fs::read_to_string(&path).unwrap(), &environment);
        count += 1;
    }
    assert!(count >= 2, "the default file and an example");
}

#[test]
fn the_compiled_in_file_says_what_an_empty_one_means() {
    let from_file = load(&Source::compiled_in([])).unwrap();
    let from_nothing = settings("", &[]);
    assert_eq!(format!("{from_file:?}"), format!("{from_nothing:?}"));
    assert_eq!(from_file.store.url, from_nothing.store.url);
    assert!(
        from_file.upstream.service.is_none(),
        "the embedded environments service"
    );
}

#[test]
fn the_compiled_in_file_shows_every_setting_that_has_a_variable() {
    for setting in SETTINGS.iter().filter(|setting| setting.variable().is_some()) {
        let section = COMPILED_IN
            .split("\n[")
            .find(|part| part.starts_with(&format!("{}]", setting.table())));
        let key = setting.key();
        let is_shown = |section: &str| {
            section
                .lines()
                .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")))
        };
        assert!(section.is_some_and(is_shown), "{} is missing", setting.path);
    }
}

#[test]
fn defaults_hold_where_nothing_is_set() {
    let settings = settings("", &[]);
    assert_eq!(settings.listen.address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.listen.max_body_bytes, 1_048_576);
    assert_eq!(settings.listen.body_timeout, Duration::from_secs(10));
    assert_eq!(settings.admin.address.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.upstream.timeout, Duration::from_secs(60));
    assert_eq!(settings.upstream.max_response_bytes, 33_554_432);
    let circuit = Circuit {
        failures: 5,
        pause: Duration::from_secs(10),
    };
    assert_eq!(settings.upstream.circuit, circuit);
    assert_eq!(settings.contract.dialect.name, "sandbase");
    assert_eq!(settings.contract.strictness, Strictness::default());
    assert!(settings.ownership.is_stamping);
    assert_eq!(settings.ownership.stamp_key, StampKey::default());
    assert_eq!(settings.store.url.reveal(), "sqlite:envgate.db");
    assert!(settings.audit.is_enabled);
    assert_eq!(settings.audit.file, None);
    assert_eq!(
        settings.audit.retention,
        Some(Duration::from_secs(90 * 24 * 60 * 60))
    );
    assert_eq!(settings.log.format, LogFormat::Text);
    assert!(settings.server.threads >= 1);
}

#[test]
fn a_file_sets_what_it_names() {
    let settings = settings(
        r#"
        listen = { address = "[::1]:0", max_body_bytes = 0x1000, body_timeout = "500ms" }
        upstream.url = "https://api.anthropic.com/"
        upstream.credential.env = "KEY"
        upstream.circuit_failures = 0
        upstream.circuit_pause = "1m"
        contract = { dialect = "anthropic", unknown_field = "warn", host_format = "allow" }
        ownership = { stamp = false, stamp_key = "team/owner" }
        log = { format = "json", level = "info,envgate=debug" }
        server.threads = 3
        "#,
        &[("KEY", "sk-ant-1")],
    );
    assert_eq!(settings.listen.address.to_string(), "[::1]:0");
    assert_eq!(settings.listen.max_body_bytes, 4096);
    assert_eq!(settings.listen.body_timeout, Duration::from_millis(500));
    let service = settings.upstream.service.unwrap();
    assert_eq!(service.url.to_string(), "https://api.anthropic.com");
    assert_eq!(service.credential.reveal(), "sk-ant-1");
    let circuit = Circuit {
        failures: 0,
        pause: Duration::from_secs(60),
    };
    assert_eq!(settings.upstream.circuit, circuit);
    assert_eq!(settings.contract.dialect.name, "anthropic");
    assert_eq!(
        settings.contract.strictness,
        Strictness {
            unknown_field: Rule::Warn,
            host_format: Rule::Allow
        }
    );
    assert!(!settings.ownership.is_stamping);
    assert_eq!(settings.ownership.stamp_key.to_string(), "team/owner");
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.server.threads, 3);
}

#[test]
fn the_environment_goes_before_the_file() {
    let settings = settings(
        "[listen]\naddress = \"127.0.0.1:1\"\nmax_body_bytes = \"wrong, but not asked\"\n[upstream]\nallow_plaintext = false\n",
        &[
            ("ENVGATE_LISTEN__ADDRESS", "127.0.0.1:2"),
            ("ENVGATE_LISTEN__MAX_BODY_BYTES", "2048"),
            ("ENVGATE_UPSTREAM__URL", "http://upstream.internal:8000"),
            ("ENVGATE_UPSTREAM__CREDENTIAL", "sk-ant-2"),
            ("ENVGATE_UPSTREAM__ALLOW_PLAINTEXT", "true"),
            ("PATH", "/bin"),
        ],
    );
    assert_eq!(settings.listen.address.port(), 2);
    assert_eq!(settings.listen.max_body_bytes, 2048);
    let service = settings.upstream.service.unwrap();
    assert_eq!(
        (service.url.host.as_str(), service.url.port, service.url.is_tls),
        ("upstream.internal", 8000, false)
    );
    assert_eq!(service.credential.reveal(), "sk-ant-2");
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file_then_the_environment() {
    let text = r#"[listen]
adress = "127.0.0.1:8080"
max_body_bytes = 100
body_timeout = "10 seconds"

[contract]
dialect = "sandbas"
unknown_field = true

[lgo]
level = "info"

[store]
url = 3
"#;
    let environment = [
        ("ENVGATE_UPSTREAM__TIEMOUT", "1s"),
        ("ENVGATE_ADMIN__ADDRESS", "localhost"),
        ("ENVGATE", "no name of ours"),
    ];
    assert_eq!(
        faults(text, &environment),
        [
            "envgate.toml:2:1: listen.adress: unknown setting; did you mean \"address\"?",
            "envgate.toml:3:18: listen.max_body_bytes: expected a whole number from 1024 to 33554432",
            "envgate.toml:4:16: listen.body_timeout: expected a duration from 1ms to 60m: a whole number and ms, s or m, such as \"500ms\", \"10s\" or \"2m\"",
            "envgate.toml:7:11: contract.dialect: expected one of \"sandbase\", \"anthropic\"; did you mean \"sandbase\"?",
            "envgate.toml:8:17: contract.unknown_field: expected a string, found true or false",
            "envgate.toml:10:2: lgo: unknown table; did you mean \"log\"?",
            "envgate.toml:14:7: store.url: expected { env = \"NAME\" }, { file = \"path\" } or { credential = \"name\" }",
            "ENVGATE_ADMIN__ADDRESS: expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
            "ENVGATE_UPSTREAM__TIEMOUT: unknown setting; did you mean \"ENVGATE_UPSTREAM__TIMEOUT\"?",
        ]
    );
}

#[test]
fn a_value_out_of_its_range_or_of_another_kind_is_refused() {
    for (line, problem) in [
        ("listen.max_body_bytes = 1023", "from 1024 to 33554432"),
        ("listen.max_body_bytes = 33554433", "from 1024 to 33554432"),
        ("listen.max_body_bytes = -1", "from 1024 to 33554432"),
        (
            "listen.max_body_bytes = 9223372036854775808",
            "from 1024 to 33554432",
        ),
        (
            "listen.max_body_bytes = \"2048\"",
            "expected an integer, found a string",
        ),
        (
            "listen.max_body_bytes = 2048.0",
            "expected an integer, found a float",
        ),
        ("listen.body_timeout = \"0s\"", "expected a duration"),
        ("listen.body_timeout = \"61m\"", "expected a duration"),
        (
            "listen.body_timeout = \"99999999999999999999s\"",
            "expected a duration",
        ),
        ("listen.body_timeout = \"s\"", "expected a duration"),
        ("listen.body_timeout = \"10é\"", "expected a duration"),
        (
            "ownership.stamp = \"yes\"",
            "expected true or false, found a string",
        ),
        ("ownership.stamp_key = \"\"", "expected 1 to 64 characters"),
        ("listen.body_timeout = 10", "expected a string, found an integer"),
        (
            "listen.address = \"localhost:8080\"",
            "expected an IP address and a port",
        ),
        (
            "listen.address = [\"127.0.0.1:8080\"]",
            "expected a string, found an array",
        ),
        ("listen = \"127.0.0.1:8080\"", "expected a table, found a string"),
        (
            "upstream.allow_plaintext = \"yes\"",
            "expected true or false, found a string",
        ),
        ("log.level = \"inof\"", "did you mean \"info\"?"),
        ("log.level = \"envgate=loud\"", "expected a level or directives"),
        ("server.threads = 0", "from 1 to 1024"),
        ("address = \"127.0.0.1:8080\"", "unknown setting"),
        ("quotas.default.requests_per_minute = 60", "unknown table"),
        ("store.url = \"mysql://db/envgate\"", "expected \"sqlite:\""),
        ("store.url = \"sqlite:\"", "expected \"sqlite:\""),
        ("store.url = \"postgres://a,b/envgate\"", "several hosts"),
        (
            "store.url = \"postgres://a/envgate?target_session_attrs=read-write\"",
            "target_session_attrs is not supported",
        ),
        (
            "store.listen_url = \"postgres://db/envgate\"",
            "only a PostgreSQL is listened to",
        ),
        ("store.listen_url = \"off\"", "expected \"postgres://\""),
    ] {
        let faults = faults(line, &[]);
        assert!(
            faults.len() == 1 && faults[0].contains(problem),
            "{line} gave {faults:?}"
        );
    }
}

#[test]
fn two_listeners_cannot_have_one_port() {
    for (listen, admin, is_good) in [
        ("127.0.0.1:7000", "127.0.0.1:7000", false),
        ("0.0.0.0:7000", "127.0.0.1:7000", false),
        ("127.0.0.1:0", "127.0.0.1:0", true),
        ("127.0.0.1:7000", "127.0.0.2:7000", true),
    ] {
        let environment = [
            ("ENVGATE_LISTEN__ADDRESS", listen),
            ("ENVGATE_ADMIN__ADDRESS", admin),
        ];
        let result = load(&source("", &environment));
        assert_eq!(result.is_ok(), is_good, "{listen} and {admin}");
    }
    let faults = faults("[listen]\naddress = \"127.0.0.1:9090\"", &[]);
    assert_eq!(
        faults,
        ["envgate.toml:2:11: listen.address: listen.address and admin.address need a port each"]
    );
}

#[test]
fn a_text_that_is_not_toml_has_the_first_fault_of_its_syntax_and_no_other() {
    for (text, location) in [
        (
            "[upstream]\nsk-ant-hunter2\ntiemout = \"1s\"\nurl = \"x\n",
            "envgate.toml:2:",
        ),
        ("[listen]\nadress = 1\n[store\n", "envgate.toml:3:"),
        ("a = [", "envgate.toml:1:"),
        ("é = \"\"\"\né", "envgate.toml:1:"),
        ("\u{feff}\u{0}", "envgate.toml:1:"),
        (&"[[[\n".repeat(1000), "envgate.toml:1:"),
    ] {
        let faults = faults(text, &[("ENVGATE_LISTEN__ADRESS", "1")]);
        let [only] = &faults[..] else {
            panic!("{faults:?}");
        };
        assert!(
            only.starts_with(location) && only.contains(": not TOML: "),
            "{only}"
        );
        assert!(!only.contains("hunter2"), "{only}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let absent = directory.path().join("absent.toml");
    let told = from_process(Some(&absent)).unwrap_err().to_string();
    assert!(
        told.starts_with(&format!("{}: cannot be read: ", absent.display())),
        "{told}"
    );

    let path = directory.path().join("latin1.toml");
    fs::write(&path, b"[log]\n# caf\xe9\n").unwrap();
    let told = from_process(Some(&path)).unwrap_err().to_string();
    assert_eq!(
        told,
        format!("{}:2:6: the file is not UTF-8 from here on", path.display())
    );
}

#[test]
fn every_default_is_a_value_that_the_setting_takes() {
    for setting in SETTINGS.iter() {
        if let (Some(variable), Some(default)) = (setting.variable(), setting.default) {
            settings("", &[(variable.as_str(), default)]);
        }
    }
}
