//! What the operator does: commands, settings, health, logs, stopping.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::common::EXAMPLE;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually, pause};
use crate::common::upstream::{Then, Upstream};
use serde_json::Value;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_first_start_says_all_that_is_needed_and_a_later_one_how_to_make_a_key() {
    let setup = Setup::new();
    let store = setup.path().join("kept.db");
    let url = format!("sqlite:{}", store.display());
    let first = setup.set("ENVGATE_STORE__URL", &url).start();
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
    assert!(!first.log().contains(&first.key), "the key is said, never logged");
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
fn a_running_gateway_sees_keys_and_tenants_change_within_a_second() {
    let envgate = Envgate::start();
    assert!(envgate.run(&["tenants", "create", "acme"]).status.success());
    let output = envgate.run(&["keys", "create", "--tenant", "acme", "--quiet"]);
    let key = text(&output.stdout).trim_end().to_owned();
    assert!(
        key.starts_with("sk-eg-") && !key.contains(char::is_whitespace),
        "the key and nothing else: {key:?}"
    );
    let status = |key: &str| {
        Request::new(envgate.gateway, "GET", "/v1/environments")
            .header("x-api-key", key)
            .send()
            .status
    };
    let within_a_second = |wanted: u16| {
        let deadline = Instant::now() + Duration::from_secs(1);
        while status(&key) != wanted {
            assert!(Instant::now() < deadline, "no {wanted} within a second");
            pause(Duration::from_millis(10));
        }
    };
    within_a_second(200);
    assert!(envgate.run(&["tenants", "suspend", "acme"]).status.success());
    within_a_second(401);
    assert!(envgate.run(&["tenants", "resume", "acme"]).status.success());
    within_a_second(200);
    assert!(envgate.run(&["keys", "revoke", &key[..14]]).status.success());
    within_a_second(401);
    assert_eq!(status(&envgate.key), 200, "another tenant's key goes on");
}

#[test]
fn lists_show_prefixes_and_states_and_never_a_key() {
    let setup = Setup::new();
    setup.run_well(&["tenants", "create", "acme"]);
    let key = setup.run_well(&["keys", "create", "--tenant", "acme", "--quiet"]);
    let spoken = setup.run_well(&["keys", "create", "--tenant", "acme"]);
    assert!(spoken.contains("cannot be shown again"), "{spoken}");
    setup.run_well(&["keys", "revoke", &key]);
    let keys = setup.run_well(&["keys", "list", "--tenant", "acme"]);
    let row = keys.lines().find(|line| line.starts_with(&key[..14])).unwrap();
    assert!(row.contains("acme") && row.contains("revoked"), "{keys}");
    assert!(!keys.contains(&key), "{keys}");
    setup.run_well(&["tenants", "suspend", "acme"]);
    assert!(setup.run_well(&["tenants", "list"]).contains("suspended"));
}

#[test]
fn commands_that_cannot_do_what_they_are_asked_say_why_and_exit_1() {
    let setup = Setup::new();
    setup.run_well(&["tenants", "create", "acme"]);
    for (arguments, reason) in [
        (&["tenants", "create", "acme"][..], "acme"),
        (&["tenants", "suspend", "nobody"], "nobody"),
        (&["keys", "create", "--tenant", "nobody"], "nobody"),
        (&["keys", "revoke", "sk-eg-XXXXXXXX"], "no such key"),
        (&["serve", "--config", "missing.toml"], "missing.toml"),
    ] {
        let output = setup.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(reason),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty());
    }
    assert_eq!(
        setup.run(&["tenants", "creat"]).status.code(),
        Some(2),
        "not understood at all"
    );
    assert_eq!(
        setup.run_well(&["--version"]),
        format!("envgate {}", env!("CARGO_PKG_VERSION"))
    );
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
fn a_store_that_cannot_be_reached_is_503_and_never_401() {
    let setup = Setup::new();
    let missing = setup.path().join("not-there-yet");
    let url = format!("sqlite:{}", missing.join("envgate.db").display());
    let setup = setup.set("ENVGATE_STORE__URL", &url);
    let mut command = setup.command(&["serve"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap())).map(Result::unwrap);
    let address = |line: Option<String>| line.unwrap().rsplit("http://").next().unwrap().parse().unwrap();
    let gateway = address(lines.find(|line| line.contains("  gateway ")));
    let admin = address(lines.find(|line| line.contains("  admin ")));
    let request = Request::new(gateway, "GET", EXAMPLE).header("x-api-key", "sk-eg-x");
    let response = request.send();
    response.expect_error(503, "api_error");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(Request::new(admin, "GET", "/readyz").send().status, 503);
    let api = Request::new(admin, "GET", "/api/v1/tenants").send();
    assert_eq!((api.status, api.header("retry-after")), (503, Some("2")));
    assert_eq!(api.json()["code"], "store_unavailable");
    assert_eq!(Request::new(admin, "GET", "/healthz").send().status, 200);

    std::fs::create_dir(&missing).unwrap();
    eventually("the store is found", || {
        Request::new(admin, "GET", "/readyz").send().status == 200
    });
    request.send().expect_error(401, "authentication_error");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn sigterm_lets_what_is_in_flight_finish() {
    for signal in ["TERM", "INT"] {
        let late = match Then::environment() {
            Then::Reply(bytes) => Then::Late(Duration::from_millis(1500), bytes),
            other => other,
        };
        let upstream = Upstream::always(late);
        let mut envgate = Envgate::in_front_of(upstream.address);
        let mut idle = Connection::open(envgate.gateway);
        let mut busy = Connection::open(envgate.gateway);
        busy.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
        eventually("the upstream was asked", || upstream.seen().len() == 1);
        envgate.signal(signal);
        eventually("nothing new is accepted", || {
            std::net::TcpStream::connect(envgate.gateway).is_err()
        });
        assert_eq!(
            envgate.admin_get("/readyz").status,
            503,
            "readiness outlives the listener"
        );
        let response = busy.read_response();
        assert_eq!(
            (response.status, response.header("connection")),
            (200, Some("close"))
        );
        assert!(idle.is_closed());
        assert_eq!(envgate.wait(Duration::from_secs(5)).code(), Some(0));
    }
}

#[test]
fn a_second_signal_stops_at_once() {
    let upstream = Upstream::always(Then::Hang(Duration::from_secs(30)));
    let mut envgate = Envgate::in_front_of(upstream.address);
    let mut busy = Connection::open(envgate.gateway);
    busy.write(&envgate.request("GET", "/v1/environments/env_1").bytes());
    eventually("the upstream was asked", || upstream.seen().len() == 1);
    envgate.signal("TERM");
    eventually("stopping has begun", || {
        envgate.admin_get("/readyz").status == 503
    });
    envgate.signal("TERM");
    assert_eq!(envgate.wait(Duration::from_secs(2)).code(), Some(130));
}

#[test]
fn metrics_tell_what_happened() {
    let envgate = Envgate::start();
    envgate.get(EXAMPLE);
    envgate.post(EXAMPLE, r#"{"name":7}"#);
    for (name, value) in [
        (
            r#"envgate_requests_total{error="none",operation="retrieve",status="2xx"}"#,
            1.0,
        ),
        (
            r#"envgate_requests_total{error="violations",operation="update",status="4xx"}"#,
            1.0,
        ),
        (
            r#"envgate_request_duration_seconds_count{operation="retrieve"}"#,
            1.0,
        ),
        (
            r#"envgate_upstream_duration_seconds_count{operation="retrieve"}"#,
            1.0,
        ),
        (
            r#"envgate_upstream_duration_seconds_count{operation="update"}"#,
            0.0,
        ),
        (r#"envgate_own_duration_seconds_count{operation="update"}"#, 1.0),
        ("envgate_requests_in_flight", 0.0),
        (
            concat!("envgate_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
            1.0,
        ),
        ("envgate_store_up", 1.0),
    ] {
        envgate.expect_metric(name, value);
    }
    let content_type = envgate.admin_get("/metrics");
    assert_eq!(
        content_type.header("content-type"),
        Some("text/plain; version=0.0.4")
    );
}

#[test]
fn each_request_has_one_line_in_the_access_log() {
    let envgate = Setup::new().set("ENVGATE_LOG__FORMAT", "json").start();
    let response = envgate.get(&format!("{EXAMPLE}?secret=in-the-query"));
    envgate.post(EXAMPLE, r#"{"nme":1}"#);
    eventually("both lines are written", || {
        envgate.log().matches("envgate::access").count() == 2
    });
    let log = envgate.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["target"] == "envgate::access")
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    let line = &lines[0];
    assert_eq!(line["request_id"].as_str(), response.header("request-id"));
    assert_eq!(
        (&line["tenant"], &line["operation"], &line["status"]),
        (&"demo".into(), &"retrieve".into(), &200.into())
    );
    assert_eq!(line["key"], envgate.key[..14]);
    for duration in ["duration_ms", "upstream_ms", "own_ms"] {
        assert!(line[duration].as_f64().unwrap() > 0.0, "{line}");
    }
    assert_eq!(lines[1]["error"], "violations");
    assert!(!log.contains("in-the-query"));
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
