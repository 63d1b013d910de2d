//! Tenants and keys by the command line, beside a gateway that runs.

use std::time::{Duration, Instant};

use super::text;
use crate::common::EXAMPLE;
use crate::common::client::Request;
use crate::common::envgate::{Envgate, Setup, eventually, pause};
use envgate_test_servers::postgres::Server;

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
fn a_store_that_cannot_be_reached_is_503_and_never_401() {
    let mut database = Server::start();
    database.kill();
    let setup = Setup::new().set("ENVGATE_STORE__URL", &database.url());
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

    database.start_again();
    eventually("the store is found", || {
        Request::new(admin, "GET", "/readyz").send().status == 200
    });
    request.send().expect_error(401, "authentication_error");
    child.kill().unwrap();
    child.wait().unwrap();
}
