//! `envgate doctor`: every fault is provoked, and what it says to do about it is looked at.

mod servers;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup};
use crate::common::tls::Authority;
use crate::common::upstream::ClosedPort;

/// What was found, and the exit status.
struct Told {
    code: Option<i32>,
    text: String,
    findings: Vec<Value>,
}

fn ask(setup: &Setup) -> Told {
    let output = setup.run(&["doctor", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    Told {
        code: output.status.code(),
        findings: said["findings"].as_array().unwrap().clone(),
        text,
    }
}

impl Told {
    /// One finding of a check has this grade, and these words in what was found, why it matters and what to do.
    #[track_caller]
    fn expect(&self, check: &str, grade: &str, words: &[&str]) -> &Self {
        let is_it = |finding: &&Value| {
            let text = finding.to_string();
            finding["check"] == check
                && finding["grade"] == grade
                && words.iter().all(|word| text.contains(word))
        };
        let found = self.findings.iter().find(is_it);
        let Some(found) = found else {
            panic!("no {grade} of {check} with {words:?} in:\n{:#?}", self.findings);
        };
        if grade != "ok" {
            for part in ["found", "why", "advice"] {
                assert!(
                    found[part].as_str().is_some_and(|text| text.len() > 10),
                    "{found}"
                );
            }
        }
        self
    }

    #[track_caller]
    fn expect_fault(&self, check: &str, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(1), "{:#?}", self.findings);
        self.expect(check, "fault", words)
    }
}

/// Settings that name the addresses of a gateway that runs.
fn beside(envgate: &Envgate) -> Setup {
    Setup::new()
        .set("ENVGATE_LISTEN__ADDRESS", &envgate.gateway.to_string())
        .set("ENVGATE_ADMIN__ADDRESS", &envgate.admin.to_string())
        .set(
            "ENVGATE_STORE__URL",
            &format!("sqlite:{}", envgate.path().join("envgate.db").display()),
        )
}

#[test]
fn beside_a_gateway_that_is_well_all_is_well() {
    let envgate = Envgate::start();
    let told = ask(&beside(&envgate));
    assert_eq!(told.code, Some(0), "{:#?}", told.findings);
    told.expect("settings", "ok", &["no fault"])
        .expect("listen", "ok", &["a gateway runs here"])
        .expect("admin", "ok", &["a gateway runs here"])
        .expect("gateway", "ok", &["ready", env!("CARGO_PKG_VERSION")])
        .expect("descriptors", "ok", &["room for"])
        .expect("store", "ok", &["SQLite", "tables of version"])
        .expect("redis", "ok", &["not used"])
        .expect("upstream", "ok", &["embedded"])
        .expect("clock", "ok", &[]);
    assert_eq!(envgate.get("/v1/environments").status, 200);
}

#[test]
fn without_a_gateway_it_says_so_makes_nothing_and_people_can_read_it() {
    let setup = Setup::new().set("ENVGATE_ADMIN__ADDRESS", &ClosedPort::new().address().to_string());
    let output = setup.run(&["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in [
        "ok       listen       listen.address",
        "warning  gateway      none runs here",
        "                 why: nobody is served",
        "                  do: start it with envgate serve",
        "warning  store ",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
    assert!(text.trim_end().ends_with("0 faults, 2 warnings"), "{text}");
    assert!(!setup.path().join("envgate.db").exists());
}

#[test]
fn a_port_that_another_process_has_is_told_with_who_it_is() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let process = std::process::id().to_string();
    ask(&Setup::new().set("ENVGATE_LISTEN__ADDRESS", &address)).expect_fault(
        "listen",
        &[
            "is taken by",
            &process,
            "serve cannot start",
            "give listen.address another port",
        ],
    );
}

#[test]
fn an_address_of_another_machine_and_one_where_something_else_answers_are_told() {
    ask(&Setup::new().set("ENVGATE_LISTEN__ADDRESS", "192.0.2.1:8080"))
        .expect_fault("listen", &["192.0.2.1", "this machine has no such address"]);

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in other.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    });
    ask(&Setup::new().set("ENVGATE_ADMIN__ADDRESS", &address.to_string())).expect_fault(
        "gateway",
        &["is no gateway", "give admin.address a port of its own"],
    );
}

#[test]
fn a_gateway_that_is_not_ready_is_told_with_what_it_waits_for() {
    let waiting = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = waiting.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in waiting.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap_or_default();
            let (status, body) = match request[..read].starts_with(b"GET /healthz") {
                true => ("200 OK", r#"{"status":"ok"}"#),
                false => (
                    "503 Service Unavailable",
                    r#"{"status":"waiting for the store: x"}"#,
                ),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    ask(&Setup::new().set("ENVGATE_ADMIN__ADDRESS", &address.to_string())).expect_fault(
        "gateway",
        &["is not ready: waiting for the store", "its log says"],
    );
}

#[test]
fn secrets_that_everybody_may_read_are_told() {
    let setup = Setup::new();
    let secret = setup.path().join("token");
    fs::write(&secret, "a-token-that-is-long-enough").unwrap();
    let setup = setup.file("[admin]\ntoken = { file = \"token\" }\n");
    for (file, mode) in [("token", 0o644), ("envgate.toml", 0o666)] {
        fs::set_permissions(setup.path().join(file), Permissions::from_mode(mode)).unwrap();
    }
    let told = ask(&setup);
    assert_eq!(told.code, Some(0), "it works: {:#?}", told.findings);
    let words = ["admin.token", "everybody on this machine may read", "chmod o= "];
    told.expect("files", "warning", &words).expect(
        "files",
        "warning",
        &["everybody may write envgate.toml", "chmod o-w"],
    );
    for file in ["token", "envgate.toml"] {
        fs::set_permissions(setup.path().join(file), Permissions::from_mode(0o640)).unwrap();
    }
    ask(&setup).expect("files", "ok", &[]);
}

#[test]
fn an_audit_file_that_cannot_be_written_is_told() {
    ask(&Setup::new().set("ENVGATE_AUDIT__FILE", "/nowhere/at/all/audit.jsonl"))
        .expect_fault("files", &["audit.file", "/nowhere/at/all", "make the directory"]);
}

#[test]
fn certificates_that_have_ended_or_soon_will_are_told() {
    let authority = Authority::new();
    let with = |name: &str, pair: &crate::common::tls::Pair| {
        let setup = Setup::new();
        pair.write(setup.path(), name);
        setup
            .set("ENVGATE_LISTEN__TLS__CERTIFICATE", &format!("{name}.crt"))
            .set("ENVGATE_LISTEN__TLS__KEY", &format!("{name}.key"))
    };
    let expired = ask(&with("old", &authority.issue_until("localhost", 2020)));
    expired.expect_fault(
        "settings",
        &[
            "old.crt expired on 2020-01-01",
            "put a certificate and its key there",
        ],
    );
    expired.expect("certificates", "warning", &["its settings are wrong"]);
    let soon = ask(&with("soon", &authority.issue_for_days("localhost", 5)));
    assert_eq!(soon.code, Some(0), "{:#?}", soon.findings);
    soon.expect(
        "certificates",
        "warning",
        &["soon.crt", "expires soon", "renew it"],
    );
}

#[test]
fn what_is_wrong_with_the_settings_does_not_hide_the_rest() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::new()
        .file(
            "[upstream]\nurl = \"https://api.anthropic.com\"\ncredential = { env = \"NOT_SET\" }\n[lsten]\n",
        )
        .set("ENVGATE_LISTEN__ADDRESS", &address)
        .set("ENVGATE_STORE__URL", "sqlite:/nowhere/at/all/envgate.db");
    ask(&setup)
        .expect_fault("settings", &["NOT_SET", "set the variable in the environment"])
        .expect_fault("settings", &["did you mean \\\"listen\\\"?"])
        .expect_fault("listen", &["is taken by"])
        .expect_fault("store", &["/nowhere/at/all", "make the directory"])
        .expect("upstream", "warning", &["not looked at"]);

    let nonsense = ask(&Setup::new().file("[upstream\n"));
    nonsense
        .expect_fault("settings", &["envgate.toml:1:"])
        .expect("store", "warning", &["not looked at"]);
    let missing = Setup::new().run(&["doctor", "--config", "/nowhere/envgate.toml"]);
    let text = String::from_utf8(missing.stdout).unwrap();
    assert!(
        missing.status.code() == Some(1) && text.contains("/nowhere/envgate.toml"),
        "{text}"
    );
}

#[test]
fn settings_that_cannot_be_read_without_waiting_for_ever_are_told_so() {
    let setup = Setup::new()
        .file("[upstream]\nurl = \"https://api.anthropic.com\"\ncredential = { file = \"pipe\" }\n");
    let made = setup.command_of("mkfifo", &["pipe"]).status().unwrap();
    assert!(made.success());
    ask(&setup).expect_fault("settings", &["cannot be read within", "is a pipe"]);
}

#[test]
fn too_few_descriptors_for_what_was_asked_are_told() {
    ask(&Setup::new().set("ENVGATE_LISTEN__MAX_CONNECTIONS", "1000000")).expect(
        "descriptors",
        "warning",
        &[
            "listen.max_connections is 1000000",
            "raise the hard limit to 2000512",
        ],
    );
}

#[test]
fn no_secret_is_told_whoever_quotes_it() {
    let upstream = servers::quoting(OPERATOR_KEY);
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_ADMIN__TOKEN", "planted-admin-token-1")
        .set(
            "ENVGATE_STORE__URL",
            "postgres://envgate:planted%2Dpassword-2@127.0.0.1:1/envgate",
        )
        .set(
            "ENVGATE_QUOTA__REDIS",
            "redis://user:planted-password-3@127.0.0.1:1",
        )
        .set("ENVGATE_QUOTA__REPLICAS", "2");
    let plain = setup.run(&["doctor"]);
    let told = ask(&setup);
    assert_eq!(told.code, Some(1));
    for text in [
        told.text,
        String::from_utf8([plain.stdout, plain.stderr].concat()).unwrap(),
    ] {
        for secret in [OPERATOR_KEY, "planted", "password-2", "password-3"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}
