//! What a request may ask for beside its body: betas, a forced delete, a workspace, an id.

use serde_json::json;

use crate::common::EXAMPLE;
use crate::common::client::Request;
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{Then, Upstream};

const PLANS: &str = r#"
[upstream]
beta = "managed-agents-2026-09-01"
workspace_id = "wrkspc_operator"

[plans.narrow]
betas = ["files-1"]

[plans.public]
policy = { hosts = "public", package_managers = false }

[plans.locked]
policy = { preset = "locked", allowed_hosts = ["*.example.com"] }

[plans.forceful]
force_delete = true
workspace_id = "wrkspc_plan"
"#;

/// A gateway with the plans above, in front of an upstream that records, and a key of a tenant on `plan`.
fn on_plan(plan: &str) -> (Envgate, String, Upstream) {
    let upstream = Upstream::always(Then::environment());
    let setup = Setup::new().upstream(upstream.address).file(PLANS);
    let key = setup.tenant("acme", plan);
    (setup.start_for(&key), key, upstream)
}

fn get(envgate: &Envgate, key: &str, betas: &[&str]) -> Request {
    let request = Request::new(envgate.gateway, "GET", EXAMPLE).header("x-api-key", key);
    betas
        .iter()
        .fold(request, |request, line| request.header("anthropic-beta", line))
}

#[test]
fn betas_may_be_repeated_and_a_clients_own_replaces_the_operators() {
    let (envgate, key, upstream) = on_plan("default");
    for (lines, expected) in [
        (&[][..], "managed-agents-2026-09-01"),
        (&["b", "a", "b"], "b,a,managed-agents-2026-09-01"),
        (&["managed-agents-2026-04-01,a"], "managed-agents-2026-04-01,a"),
    ] {
        assert_eq!(get(&envgate, &key, lines).send().status, 200);
        assert_eq!(upstream.seen().last().unwrap().all("anthropic-beta"), [expected]);
    }
}

#[test]
fn the_order_of_betas_does_not_part_readers() {
    let (envgate, key, upstream) = on_plan("default");
    for lines in [&["a,b"][..], &["b,a"], &["b", "a"], &["b,a,b"]] {
        assert_eq!(get(&envgate, &key, lines).send().status, 200);
    }
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(get(&envgate, &key, &["a"]).send().status, 200);
    assert_eq!(upstream.seen().len(), 2, "other betas may have other replies");
}

#[test]
fn beta_true_in_the_query_does_not_part_readers() {
    let (envgate, key, upstream) = on_plan("default");
    for query in ["", "?beta=true", "?beta=false"] {
        let path = format!("{EXAMPLE}{query}");
        let reply = Request::new(envgate.gateway, "GET", &path)
            .header("x-api-key", &key)
            .send();
        assert_eq!(reply.status, 200);
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn a_write_without_a_body_goes_up_with_a_length_of_none() {
    let (envgate, key, upstream) = on_plan("default");
    let path = format!("{EXAMPLE}/archive");
    // Official clients label even what they do not send.
    let archive = Request::new(envgate.gateway, "POST", &path)
        .header("x-api-key", &key)
        .header("content-type", "application/xml");
    assert_eq!(archive.send().status, 200);
    let seen = &upstream.seen()[..];
    let last = seen.last().unwrap();
    assert_eq!(last.line, format!("POST {path} HTTP/1.1"));
    assert_eq!(last.all("content-length"), ["0"]);
    assert!(last.all("content-type").is_empty());
}

#[test]
fn betas_without_measure_are_refused_before_anything_goes_up() {
    let (envgate, key, upstream) = on_plan("default");
    let many: Vec<_> = (0..65).map(|n| format!("beta-{n}")).collect();
    for betas in [many.join(","), "n".repeat(129), ",".repeat(5000)] {
        get(&envgate, &key, &[&betas])
            .send()
            .expect_error(400, "invalid_request");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_beta_that_the_plan_does_not_have_is_403_and_named() {
    let (envgate, key, upstream) = on_plan("narrow");
    assert_eq!(get(&envgate, &key, &["files-1"]).send().status, 200);
    let error = get(&envgate, &key, &["files-1,files-2"])
        .send()
        .expect_error(403, "permission_error");
    assert!(
        error["message"].as_str().unwrap().contains("\"files-2\""),
        "{error}"
    );
    assert_eq!(upstream.seen().len(), 1);
}

#[test]
fn the_workspace_is_the_operators_to_choose() {
    for (plan, expected) in [("default", "wrkspc_operator"), ("forceful", "wrkspc_plan")] {
        let (envgate, key, upstream) = on_plan(plan);
        let request = get(&envgate, &key, &[]).header("anthropic-workspace-id", "wrkspc_mine");
        assert_eq!(request.send().status, 200);
        assert_eq!(upstream.seen()[0].all("anthropic-workspace-id"), [expected]);
    }
    let upstream = Upstream::always(Then::environment());
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__WORKSPACE_ID", "wrkspc_variable")
        .start();
    assert_eq!(envgate.get(EXAMPLE).status, 200);
    assert_eq!(
        upstream.seen()[0].all("anthropic-workspace-id"),
        ["wrkspc_variable"]
    );
}

fn delete(envgate: &Envgate, key: &str, query: &str) -> Request {
    Request::new(envgate.gateway, "DELETE", &format!("{EXAMPLE}{query}")).header("x-api-key", key)
}

#[test]
fn a_forced_delete_needs_the_plans_leave() {
    let (envgate, key, upstream) = on_plan("default");
    let error = delete(&envgate, &key, "?force=true")
        .send()
        .expect_error(403, "permission_error");
    assert!(
        error["message"].as_str().unwrap().contains("force=true"),
        "{error}"
    );
    for query in ["?force=1", "?force=true&force=true"] {
        delete(&envgate, &key, query)
            .send()
            .expect_error(400, "invalid_request");
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(delete(&envgate, &key, "?force=false").send().status, 200);
    assert_eq!(upstream.seen()[0].line, format!("DELETE {EXAMPLE} HTTP/1.1"));
}

#[test]
fn a_forced_delete_goes_up_and_into_the_audit() {
    let (mut envgate, key, upstream) = on_plan("forceful");
    assert_eq!(delete(&envgate, &key, "?force=true&beta=true").send().status, 200);
    assert_eq!(
        upstream.seen()[0].line,
        format!("DELETE {EXAMPLE}?force=true&beta=true HTTP/1.1")
    );
    crate::common::envgate::eventually("the audit has it", || {
        let records = envgate.admin_get("/api/v1/audit?operation=force_delete").json();
        records["data"][0]["outcome"] == "ok"
    });
    envgate.stop();
}

#[test]
fn another_products_path_is_404_and_never_goes_up() {
    let (envgate, key, upstream) = on_plan("default");
    for (method, path) in [
        ("GET", "/v1/environments/bridge"),
        ("POST", "/v1/environments/bridge"),
        ("DELETE", "/v1/environments/%62ridge"),
        ("POST", "/v1/environments/bridge/archive"),
        // As official clients send an id that they do not escape.
        ("GET", "/v1/environments/a:b@c"),
    ] {
        Request::new(envgate.gateway, method, path)
            .header("x-api-key", &key)
            .send()
            .expect_error(404, "not_found");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn variables_that_have_not_the_form_of_settings_are_told_by_name_and_hold_nothing_up() {
    let upstream = Upstream::always(Then::environment());
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_PORT", "tcp://10.0.0.1:8080")
        .set("ENVGATE_SERVICE_HOST", "10.0.0.1");
    let checked = setup.run(&["check"]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{said}");
    let mut envgate = setup.start();
    for text in [said, envgate.stop()] {
        assert!(
            text.contains("ENVGATE_PORT") && text.contains("ENVGATE_SERVICE_HOST"),
            "{text}"
        );
        assert!(!text.contains("10.0.0.1"), "never by value: {text}");
    }
    let wrong = Setup::new().set("ENVGATE_SECTION__NAME", "x").run(&["check"]);
    assert_eq!(wrong.status.code(), Some(1));
}

fn create(envgate: &Envgate, key: &str, networking: &serde_json::Value) -> crate::common::client::Response {
    let body = json!({"name": "n", "config": {"type": "cloud", "networking": networking}});
    Request::new(envgate.gateway, "POST", "/v1/environments")
        .header("x-api-key", key)
        .body(body.to_string())
        .send()
}

#[test]
fn a_policy_of_public_hosts_refuses_addresses_and_private_names_however_they_are_written() {
    let (envgate, key, upstream) = on_plan("public");
    for host in [
        "127.1",
        "0x7f.1",
        "2130706433",
        "10.0.0.1",
        "localhost",
        "printer.local",
        "metadata.google.internal",
        "*.com",
    ] {
        let error = create(
            &envgate,
            &key,
            &json!({"type": "limited", "allowed_hosts": ["example.com", host]}),
        )
        .expect_error(403, "permission_error");
        let violation = &error["details"]["violations"][0];
        assert_eq!(violation["keyword"], "hosts", "{host}: {error}");
        assert_eq!(violation["pointer"], "/config/networking/allowed_hosts/1");
    }
    // An address in brackets is no host name for the schema already.
    create(
        &envgate,
        &key,
        &json!({"type": "limited", "allowed_hosts": ["[::1]"]}),
    )
    .expect_error(400, "invalid_request");
    create(&envgate, &key, &json!({"type": "unrestricted"})).expect_error(403, "permission_error");
    assert!(upstream.seen().is_empty());
    let public = create(
        &envgate,
        &key,
        &json!({"type": "limited", "allowed_hosts": ["api.example.com"]}),
    );
    assert_eq!(public.status, 200, "{}", public.text());
}

#[test]
fn a_locked_plan_reaches_the_public_hosts_of_its_list_and_nothing_else() {
    let (envgate, key, upstream) = on_plan("locked");
    for networking in [
        json!({"type": "unrestricted"}),
        json!({"type": "limited", "allow_package_managers": true}),
        json!({"type": "limited", "allow_mcp_servers": true}),
        json!({"type": "limited", "allowed_hosts": ["example.org"]}),
        json!({"type": "limited", "allowed_hosts": ["10.0.0.1"]}),
    ] {
        create(&envgate, &key, &networking).expect_error(403, "permission_error");
    }
    assert!(upstream.seen().is_empty());
    let listed = create(
        &envgate,
        &key,
        &json!({"type": "limited", "allowed_hosts": ["api.example.com"]}),
    );
    assert_eq!(listed.status, 200, "{}", listed.text());
}
