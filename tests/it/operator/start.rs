//! What is said at the start, and what is checked before it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::text;
use crate::common::EXAMPLE;
use crate::common::client::Request;
use crate::common::envgate::{OPERATOR_KEY, Setup, eventually};
use crate::common::upstream::{Then, Upstream};

#[test]
fn the_first_start_says_all_that_is_needed_and_a_later_one_how_to_make_a_key() {
    let setup = Setup::new();
    let store = setup.path().join("kept.db");
    let url = format!("sqlite:{}", store.display());
    let mut first = setup.set("ENVGATE_STORE__URL", &url).start();
    assert!(
        first.said.contains("embedded environments service"),
        "{}",
        first.said
    );
    assert_eq!(first.get(EXAMPLE).status, 200);
    assert_eq!(
        std::fs::metadata(&store).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        !first.stop().contains(&first.key),
        "the key is said, never logged"
    );
}

#[test]
fn a_later_start_keeps_environments_and_says_how_to_make_another_key() {
    let kept = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", kept.path().join("envgate.db").display());
    let first = Setup::new().set("ENVGATE_STORE__URL", &url).start();
    let key = first.key.clone();
    assert_eq!(first.post(EXAMPLE, r#"{"name":"kept"}"#).status, 200);
    drop(first);

    let setup = Setup::new().set("ENVGATE_STORE__URL", &url);
    let mut later = setup.command(&["serve"]);
    let mut later = later
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(later.stdout.take().unwrap())).map(Result::unwrap);
    let gateway = lines.find(|line| line.contains("gateway")).unwrap();
    assert!(lines.any(|line| line.contains("envgate keys create --tenant demo")));
    let address = gateway.rsplit("http://").next().unwrap().parse().unwrap();
    let request = Request::new(address, "GET", EXAMPLE).header("x-api-key", &key);
    eventually("the old key works", || request.send().status == 200);
    assert_eq!(request.send().json()["name"], "kept");
    later.kill().unwrap();
    later.wait().unwrap();
}

#[test]
fn a_real_upstream_without_a_tenant_starts_with_a_hint() {
    let setup = Setup::new().upstream("127.0.0.1:9".parse().unwrap());
    let mut child = setup
        .command(&["serve"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap())).map(Result::unwrap);
    assert!(lines.any(|line| line.contains("envgate tenants create NAME")));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn check_tells_every_fault_and_serve_refuses_to_start_on_them() {
    let setup = Setup::new().set("ENVGATE_LISTEN__ADRESS", "x");
    let path = setup.path().join("bad.toml");
    std::fs::write(
        &path,
        "[upstream]\ntiemout = \"60s\"\n[contract]\ndialect = \"sandbas\"\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let checked = setup.run(&["check", "--config", path]);
    assert_eq!(checked.status.code(), Some(1));
    let faults = text(&checked.stderr);
    for expected in [
        "bad.toml:2:1: upstream.tiemout",
        "\"timeout\"",
        "bad.toml:4:11: contract.dialect",
        "\"sandbase\"",
        "ENVGATE_LISTEN__ADRESS",
    ] {
        assert!(faults.contains(expected), "{expected} is missing: {faults}");
    }
    let served = setup.run(&["serve", "--config", path]);
    assert_eq!(served.status.code(), Some(1));
    assert!(text(&served.stderr).contains("upstream.tiemout"));
    assert!(Setup::new().run(&["check"]).status.success());
}

#[test]
fn check_proves_the_upstream_credential_with_one_list_request() {
    let list = Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#);
    let good = Upstream::always(list);
    let checked = Setup::new().upstream(good.address).run(&["check", "--upstream"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert_eq!(good.seen().len(), 1);
    assert_eq!(good.seen()[0].line, "GET /v1/environments?limit=1 HTTP/1.1");
    assert_eq!(good.seen()[0].all("x-api-key"), [OPERATOR_KEY]);

    let bad = Upstream::always(Then::respond(
        "401 Unauthorized",
        &[],
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
    ));
    let checked = Setup::new().upstream(bad.address).run(&["check", "--upstream"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stderr).contains("401"), "{}", text(&checked.stderr));
    assert!(!text(&checked.stderr).contains(OPERATOR_KEY));
}

#[test]
fn a_bind_error_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for setting in ["ENVGATE_LISTEN__ADDRESS", "ENVGATE_ADMIN__ADDRESS"] {
        let output = Setup::new().set(setting, &address).run(&["serve"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains(&address),
            "{}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty(), "nothing is said before all is bound");
    }
}

#[test]
fn the_environments_service_runs_alone() {
    let setup = Setup::new().set("ENVGATE_UPSTREAM__CREDENTIAL", "sk-own");
    let mut child = setup
        .command(&[
            "upstream",
            "--address",
            "127.0.0.1:0",
            "--store",
            "sqlite:alone.db",
        ])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let address = line.trim().rsplit("http://").next().unwrap().parse().unwrap();
    let request = Request::new(address, "GET", "/v1/environments")
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "managed-agents-2026-04-01");
    request.send().expect_error(401, "authentication_error");
    assert_eq!(request.header("x-api-key", "sk-own").send().status, 200);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        Setup::new().run(&["upstream"]).status.code(),
        Some(1),
        "without a key it does not start"
    );
}
