//! A tenant's plan decides what it may do, and how and with which credential it is served.

use crate::common::EXAMPLE;
use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually};
use crate::common::upstream::{Then, Upstream};

const PLANS: &str = r#"
[contract]
dialect = "sandbase"

[credentials.research]
key = { env = "RESEARCH_KEY" }
budget = "default"

[plans.reader]
operations = ["list", "retrieve"]

[plans.native]
dialect = "anthropic"
unknown_field = "warn"

[plans.research]
credential = "research"
workspace_id = "wrkspc_research"
"#;

/// A gateway with the plans above, in front of an upstream that records, and a key of a tenant on `plan`.
fn served(plan: &str) -> (Envgate, String, Upstream) {
    let upstream = Upstream::always(Then::environment());
    let setup = Setup::new()
        .set("RESEARCH_KEY", "sk-ant-research")
        .upstream(upstream.address)
        .file(PLANS);
    let key = setup.tenant("acme", plan);
    (setup.start_for(&key), key, upstream)
}

fn ask(envgate: &Envgate, key: &str, method: &str, body: Option<&str>) -> Response {
    let request = Request::new(envgate.gateway, method, EXAMPLE).header("x-api-key", key);
    match body {
        Some(body) => request.body(body).send(),
        None => request.send(),
    }
}

fn move_to_default(envgate: &Envgate) {
    let moved = envgate.run(&["tenants", "set-plan", "acme", "default"]);
    assert!(moved.status.success(), "{}", text(&moved.stderr));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn an_operation_outside_the_plan_is_403_and_never_reaches_the_upstream() {
    let (envgate, key, upstream) = served("reader");
    assert_eq!(ask(&envgate, &key, "GET", None).status, 200);
    for (method, body) in [
        ("POST", Some(r#"{"name":"n"}"#)),
        ("DELETE", None),
        ("POST", Some("not even JSON")),
    ] {
        let error = ask(&envgate, &key, method, body).expect_error(403, "permission_error");
        let message = error["message"].as_str().unwrap();
        let operation = if method == "POST" { "update" } else { "delete" };
        assert_eq!(
            message,
            format!("the plan reader does not allow {operation}; it allows list, retrieve")
        );
    }
    assert_eq!(upstream.seen().len(), 1);
    move_to_default(&envgate);
    eventually("the default plan allows everything", || {
        ask(&envgate, &key, "POST", Some(r#"{"name":"n"}"#)).status == 200
    });
}

#[test]
fn dialect_and_strictness_are_the_plans() {
    let (envgate, key, _upstream) = served("native");
    let unknown = r#"{"name":"n","colour":"blue","scope":"account"}"#;

    let native = ask(&envgate, &key, "POST", Some(unknown));
    assert_eq!(native.status, 200, "{}", native.text());
    assert_eq!(native.header("envgate-warning"), Some("/colour"));
    assert_eq!(
        native.json()["scope"],
        "organization",
        "the native reply is untouched"
    );
    ask(&envgate, &key, "POST", Some("[]")).expect_error(400, "invalid_request_error");

    move_to_default(&envgate);
    eventually("the default plan holds", || {
        ask(&envgate, &key, "POST", Some(unknown)).status == 400
    });
    let error = ask(&envgate, &key, "POST", Some(unknown)).expect_error(400, "invalid_request");
    assert_eq!(
        error["details"]["violations"].as_array().unwrap().len(),
        2,
        "{error}"
    );
    ask(&envgate, "sk-eg-nobody", "POST", Some("[]")).expect_error(401, "authentication_error");
}

#[test]
fn the_plans_credential_and_workspace_go_up() {
    let (envgate, key, upstream) = served("research");
    let request = Request::new(envgate.gateway, "GET", EXAMPLE)
        .header("x-api-key", &key)
        .header("anthropic-workspace-id", "wrkspc_of_the_clients_choice");
    assert_eq!(request.send().status, 200);
    let seen = upstream.seen();
    assert_eq!(seen[0].all("x-api-key"), ["sk-ant-research"]);
    assert_eq!(seen[0].all("anthropic-workspace-id"), ["wrkspc_research"]);

    move_to_default(&envgate);
    eventually("the upstream's own credential goes up", || {
        assert_eq!(request.send().status, 200);
        let seen = upstream.seen();
        let last = seen.last().unwrap();
        last.all("x-api-key") == [OPERATOR_KEY] && last.all("anthropic-workspace-id").is_empty()
    });
}

#[test]
fn a_tenant_whose_plan_is_missing_is_told_so_and_the_operator_too() {
    let (envgate, key, upstream) = served("gone");
    let error = ask(&envgate, &key, "GET", None).expect_error(403, "permission_error");
    assert_eq!(error["details"]["error_code"], "plan_not_configured");
    assert!(upstream.seen().is_empty());

    let why = "degraded: 1 tenant is on a plan that is not configured";
    assert_eq!(envgate.readiness(), (200, why.to_owned()));
    let ready = envgate.admin_get("/readyz").text();
    assert_eq!(
        ready, r#"{"status":"degraded"}"#,
        "one word to those who need no token"
    );
    move_to_default(&envgate);
    eventually("the new plan holds", || {
        ask(&envgate, &key, "GET", None).status == 200
    });
    assert_eq!(envgate.admin_get("/readyz").json()["status"], "ready");
}

#[test]
fn check_names_tenants_whose_plan_is_missing() {
    let setup = Setup::new().file("[plans.gold]\n");
    let untouched = setup.run(&["check"]);
    assert!(untouched.status.success(), "{}", text(&untouched.stderr));
    assert!(
        !setup.path().join("envgate.db").exists(),
        "looking makes no store"
    );

    setup.tenant("acme", "gold");
    setup.tenant("umbrella", "plaid");
    let checked = setup.run(&["check"]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(
        text(&checked.stderr),
        "tenant \"umbrella\" is on the plan \"plaid\", which is not configured\n"
    );
    setup.run_well(&["tenants", "set-plan", "umbrella", "default"]);
    assert!(setup.run(&["check"]).status.success());
}

#[test]
fn check_proves_every_credential_that_a_plan_uses() {
    let upstream = Upstream::start(|_, seen| {
        if seen.all("x-api-key") == ["sk-ant-research"] {
            return Then::respond("401 Unauthorized", &[], "{}");
        }
        Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#)
    });
    let checked = Setup::new()
        .set("RESEARCH_KEY", "sk-ant-research")
        .upstream(upstream.address)
        .file(PLANS)
        .run(&["check", "--upstream"]);
    assert_eq!(checked.status.code(), Some(1));
    let told = text(&checked.stderr);
    assert!(
        told.contains("the credential research with the workspace wrkspc_research") && told.contains("401"),
        "{told}"
    );
    assert!(!told.contains("sk-ant-"), "{told}");
    assert_eq!(
        upstream.seen().len(),
        2,
        "plans that share a credential share its proof"
    );
}
