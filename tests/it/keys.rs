//! What a key may do, and for how long.

use std::time::Duration;

use crate::common::EXAMPLE;
use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup, eventually};

const ENVIRONMENTS: &str = "/v1/environments";

/// Makes a key of the demo tenant and waits until the gateway knows it.
fn key(envgate: &Envgate, options: &[&str]) -> String {
    let key = run_well(
        envgate,
        &[&["keys", "create", "--tenant", "demo", "--quiet"], options].concat(),
    );
    eventually("the key is known", || {
        !send(envgate, &key, "GET", ENVIRONMENTS)
            .text()
            .contains("invalid API key")
    });
    key
}

fn run_well(envgate: &Envgate, arguments: &[&str]) -> String {
    let output = envgate.run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "envgate {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn send(envgate: &Envgate, key: &str, method: &str, path: &str) -> Response {
    let request = Request::new(envgate.gateway, method, path).header("x-api-key", key);
    match method {
        "POST" => request.body(r#"{"name":"renamed"}"#).send(),
        _ => request.send(),
    }
}

#[test]
fn a_key_of_some_operations_is_refused_the_others_by_name() {
    let envgate = Envgate::start();
    let key = key(&envgate, &["--operation", "list", "--operation", "retrieve"]);
    assert_eq!(send(&envgate, &key, "GET", ENVIRONMENTS).status, 200);
    assert_eq!(send(&envgate, &key, "GET", EXAMPLE).status, 200);
    let refused = send(&envgate, &key, "POST", EXAMPLE).expect_error(403, "permission_error");
    assert_eq!(
        refused["message"],
        "the operation update is not allowed to this API key"
    );
    let other = envgate.run(&["keys", "create", "--tenant", "demo", "--operation", "updaet"]);
    assert_eq!(other.status.code(), Some(2));
}

#[test]
fn a_key_of_named_environments_sees_no_other_and_creates_none() {
    let envgate = Envgate::start();
    let example = EXAMPLE.rsplit('/').next().unwrap();
    let other = envgate.post(ENVIRONMENTS, r#"{"name":"other"}"#).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let key = key(&envgate, &["--environment", example]);
    assert_eq!(send(&envgate, &key, "POST", EXAMPLE).status, 200);
    let path = format!("{ENVIRONMENTS}/{other}");
    let foreign = send(&envgate, &key, "GET", &path).expect_error(404, "not_found");
    let absent = send(&envgate, &key, "GET", "/v1/environments/env_absent").expect_error(404, "not_found");
    assert_eq!(foreign, absent);
    let refused = send(&envgate, &key, "POST", ENVIRONMENTS).expect_error(403, "permission_error");
    assert!(
        refused["message"].as_str().unwrap().contains("create"),
        "{refused}"
    );
}

#[test]
fn an_expired_key_is_told_so_with_the_time() {
    let envgate = Envgate::start();
    let key = key(&envgate, &["--expires", "2s"]);
    eventually("the key expires", || {
        send(&envgate, &key, "GET", EXAMPLE).status == 401
    });
    let refused = send(&envgate, &key, "GET", EXAMPLE).expect_error(401, "authentication_error");
    let message = refused["message"].as_str().unwrap();
    assert!(message.starts_with("this API key expired at 20"), "{message}");
    let list = run_well(&envgate, &["keys", "list"]);
    let row = list.lines().find(|line| line.starts_with(&key[..14])).unwrap();
    assert!(row.contains("expired"), "{list}");
    let past = envgate.run(&["keys", "create", "--tenant", "demo", "--expires", "2020-01-01"]);
    assert_eq!(past.status.code(), Some(1));
}

#[test]
fn a_rotated_key_goes_on_for_its_grace_and_the_new_one_may_as_much() {
    let envgate = Envgate::start();
    let old = key(&envgate, &["--label", "nightly build", "--operation", "retrieve"]);
    let new = run_well(
        &envgate,
        &["keys", "rotate", &old[..14], "--grace", "2s", "--quiet"],
    );
    eventually("the new key works", || {
        send(&envgate, &new, "GET", EXAMPLE).status == 200
    });
    assert_eq!(send(&envgate, &new, "POST", EXAMPLE).status, 403);
    eventually("the old key ends", || {
        send(&envgate, &old, "GET", EXAMPLE).status == 401
    });
    let list = run_well(&envgate, &["keys", "list"]);
    assert_eq!(list.matches("nightly build").count(), 2, "{list}");
}

#[test]
fn the_keys_of_a_deleted_tenant_die_at_once_and_its_namesake_has_none_of_them() {
    let envgate = Envgate::start();
    run_well(&envgate, &["tenants", "create", "acme", "--plan", "default"]);
    let key = run_well(&envgate, &["keys", "create", "--tenant", "acme", "--quiet"]);
    eventually("the key works", || {
        send(&envgate, &key, "GET", ENVIRONMENTS).status == 200
    });
    run_well(&envgate, &["tenants", "delete", "acme"]);
    eventually("the key is dead", || {
        send(&envgate, &key, "GET", ENVIRONMENTS).status == 401
    });
    run_well(&envgate, &["tenants", "create", "acme"]);
    assert_eq!(
        run_well(&envgate, &["keys", "list", "--tenant", "acme"])
            .lines()
            .count(),
        1
    );
    assert_eq!(send(&envgate, &key, "GET", ENVIRONMENTS).status, 401);
    assert_eq!(send(&envgate, &envgate.key, "GET", ENVIRONMENTS).status, 200);
}

#[test]
fn tenants_are_listed_with_their_plans() {
    let setup = Setup::new();
    setup.run_well(&["tenants", "create", "acme", "--plan", "gold"]);
    setup.run_well(&["tenants", "create", "zebra"]);
    setup.run_well(&["tenants", "set-plan", "zebra", "silver"]);
    let list = setup.run_well(&["tenants", "list"]);
    let plan = |name: &str| {
        let row = list.lines().find(|line| line.starts_with(name)).unwrap();
        row.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(
        (plan("acme").as_str(), plan("zebra").as_str()),
        ("gold", "silver")
    );
}

#[test]
fn when_a_key_was_last_used_is_known_after_the_gateway_has_stopped() {
    let kept = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", kept.path().join("envgate.db").display());
    let mut envgate = Setup::new().set("ENVGATE_STORE__URL", &url).start();
    assert_eq!(envgate.get(EXAMPLE).status, 200);
    envgate.signal("TERM");
    envgate.wait(Duration::from_secs(10));

    let setup = Setup::new().set("ENVGATE_STORE__URL", &url);
    let unused = setup.run_well(&["keys", "create", "--tenant", "demo", "--quiet"]);
    let list = setup.run_well(&["keys", "list"]);
    // Key, tenant, label, state, expiry, last use.
    let last_use = |key: &str| {
        let row = list.lines().find(|line| line.starts_with(&key[..14])).unwrap();
        row.split_whitespace().nth(5).unwrap().to_owned()
    };
    assert_eq!(last_use(&unused), "-");
    assert!(last_use(&envgate.key).ends_with('Z'), "{list}");
}
