//! Several tokens with names and rights, certificates of clients, and what the audit says of both.

use serde_json::{Value, json};

use super::api::{TENANTS, expect, expect_problem};
use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup};
use crate::common::tls::{Authority, TlsClient};

const READ: &str = "a-token-that-may-read";
const KEYS: &str = "a-token-that-may-make-keys";
const ALL: &str = "a-token-that-may-do-all";

const SETTINGS: &str = r#"
[admin.tokens.monitor]
token = { env = "READ" }
rights = "read"

[admin.tokens.ci]
token = { credential = "ci" }
rights = "keys"

[admin.tokens.platform]
token = { file = "platform.token" }
rights = "all"
"#;

fn with_tokens() -> Setup {
    let setup = Setup::new().file(SETTINGS).set("READ", READ);
    std::fs::write(setup.path().join("ci"), format!("{KEYS}\n")).unwrap();
    std::fs::write(setup.path().join("platform.token"), ALL).unwrap();
    let place = setup.path().to_str().unwrap().to_owned();
    setup.set("CREDENTIALS_DIRECTORY", &place)
}

fn request(envgate: &Envgate, token: &str, method: &str, path: &str, body: &str) -> Response {
    Request::new(envgate.admin, method, path)
        .header("authorization", &format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body)
        .send()
}

fn audit(envgate: &Envgate, query: &str) -> Vec<Value> {
    let page = request(envgate, ALL, "GET", &format!("/api/v1/audit?{query}"), "");
    expect(&page, 200)["data"].as_array().unwrap().clone()
}

#[test]
fn a_token_is_good_for_its_rights_and_the_refusal_names_the_one_that_is_missing() {
    let envgate = with_tokens().start();
    for token in [READ, KEYS, ALL] {
        expect(&request(&envgate, token, "GET", TENANTS, ""), 200);
    }
    let new_key = "/api/v1/tenants/demo/keys";
    for (token, method, path, needed, who) in [
        (READ, "POST", new_key, "keys", "admin.tokens.monitor"),
        (READ, "POST", TENANTS, "all", "admin.tokens.monitor"),
        (KEYS, "POST", TENANTS, "all", "admin.tokens.ci"),
        (KEYS, "PATCH", "/api/v1/tenants/demo", "all", "admin.tokens.ci"),
        (KEYS, "DELETE", "/api/v1/tenants/demo", "all", "admin.tokens.ci"),
        (
            KEYS,
            "POST",
            "/api/v1/tenants/demo/environments",
            "all",
            "admin.tokens.ci",
        ),
    ] {
        let refused = request(&envgate, token, method, path, "{}");
        let problem = expect_problem(&refused, 403, "right_missing");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(&format!("the right {needed:?}")) && detail.contains(who),
            "{detail}"
        );
        assert!(!detail.contains(token), "{detail}");
    }
    let made = expect(
        &request(&envgate, KEYS, "POST", new_key, r#"{"label":"ci"}"#),
        201,
    );
    let revoke = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(request(&envgate, KEYS, "DELETE", &revoke, "").status, 204);
    expect(
        &request(&envgate, ALL, "POST", TENANTS, r#"{"name":"acme"}"#),
        201,
    );
}

#[test]
fn the_audit_tells_who_changed_what_by_which_token_or_command() {
    let mut envgate = with_tokens().start();
    expect(
        &request(&envgate, ALL, "POST", TENANTS, r#"{"name":"acme"}"#),
        201,
    );
    let keys = format!("{TENANTS}/acme/keys");
    let made = expect(&request(&envgate, KEYS, "POST", &keys, r#"{"label":"ci"}"#), 201);
    envgate.run_well(&["tenants", "suspend", "acme"]);
    envgate.run_well(&["keys", "revoke", made["id"].as_str().unwrap()]);

    let told: Vec<_> = audit(&envgate, "tenant=acme")
        .iter()
        .rev()
        .map(|record| json!([record["operation"], record["actor"], record["client_address"]]))
        .collect();
    let user = "command line (root)";
    let is_root = std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .contains("Uid:\t0\t");
    let expected = [
        json!(["create_tenant", "admin.tokens.platform", "127.0.0.1"]),
        json!(["create_key", "admin.tokens.ci", "127.0.0.1"]),
        json!(["update_tenant", user, null]),
        json!(["revoke_key", user, null]),
    ];
    assert_eq!(told.len(), 4, "{told:?}");
    if is_root {
        assert_eq!(told, expected);
    }
    let shown = envgate.run_well(&["audit", "--actor", "admin.tokens.ci"]);
    let shown: Vec<_> = shown.lines().skip(1).collect();
    assert!(
        shown.len() == 1 && shown[0].contains("create_key") && shown[0].contains("127.0.0.1"),
        "{shown:?}"
    );
    let whole = envgate.run_well(&["audit", "--tenant", "acme", "--json"]);
    let whole: Value = serde_json::from_str(whole.lines().last().unwrap()).unwrap();
    assert_eq!(whole["change"][0]["value"]["plan"], "default", "{whole}");
    assert_eq!(audit(&envgate, "actor=admin.tokens.ci").len(), 1);
    assert_eq!(
        audit(&envgate, "operation=create_tenant&actor=envgate%20serve").len(),
        1
    );
    let text = json!(audit(&envgate, "")).to_string();
    let key = made["key"].as_str().unwrap();
    for secret in [READ, KEYS, ALL, key.get(14..).unwrap()] {
        assert!(!text.contains(secret), "{text}");
    }
    let log = envgate.stop();
    assert!(log.contains("by=\"admin.tokens.ci\""), "{log}");
}

#[test]
fn an_audit_that_is_switched_off_has_no_changes_either() {
    let envgate = with_tokens().set("ENVGATE_AUDIT__ENABLED", "false").start();
    expect(
        &request(&envgate, ALL, "POST", TENANTS, r#"{"name":"acme"}"#),
        201,
    );
    envgate.run_well(&["tenants", "suspend", "acme"]);
    assert_eq!(audit(&envgate, ""), Vec::<Value>::new());
}

#[test]
fn wrong_tokens_are_counted_and_do_not_fill_the_log() {
    let mut envgate = with_tokens().start();
    for number in 0..50 {
        let wrong = format!("wrong-token-number-{number}");
        let refused = request(&envgate, &wrong, "GET", TENANTS, "");
        expect_problem(&refused, 401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    }
    envgate.expect_metric("envgate_admin_unauthorized_total", 50.0);
    let log = envgate.stop();
    assert_eq!(log.matches("had no token that is taken").count(), 1, "{log}");
    assert!(!log.contains("wrong-token"), "{log}");
}

#[test]
fn metrics_are_open_until_they_have_a_token() {
    let token = "a-token-for-the-scraper";
    let envgate = with_tokens().set("ENVGATE_ADMIN__METRICS_TOKEN", token).start();
    for sent in [None, Some("a-token-of-nobody")] {
        let request = Request::new(envgate.admin, "GET", "/metrics");
        let refused = match sent {
            Some(sent) => request.header("authorization", &format!("Bearer {sent}")).send(),
            None => request.send(),
        };
        assert_eq!(refused.status, 401);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        assert!(!refused.text().contains("envgate_"), "{}", refused.text());
    }
    for sent in [token, READ, ALL] {
        let shown = request(&envgate, sent, "GET", "/metrics", "");
        assert!(
            shown.text().contains("envgate_admin_unauthorized_total 2"),
            "{}",
            shown.text()
        );
    }
    let refused = request(&envgate, token, "GET", TENANTS, "");
    expect_problem(&refused, 401, "unauthorized");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(envgate.admin_get(path).status, 200, "{path} stays open");
    }
}

#[test]
fn a_certificate_is_somebody_whom_the_audit_names() {
    let authority = Authority::new();
    let own = authority.issue("platform.example");
    let client = TlsClient::with_certificate(&authority, &own);
    let with_tls = |setup: Setup| {
        authority.issue("localhost").write(setup.path(), "admin");
        std::fs::write(setup.path().join("ca.crt"), authority.pem()).unwrap();
        setup
            .set("ENVGATE_ADMIN__TLS__CERTIFICATE", "admin.crt")
            .set("ENVGATE_ADMIN__TLS__KEY", "admin.key")
            .set("ENVGATE_ADMIN__TLS__CLIENT_CA", "ca.crt")
            .admin_client(client.clone())
    };
    let create = |envgate: &Envgate, token: Option<&str>, name: &str| {
        let mut request = Request::new(envgate.admin, "POST", TENANTS)
            .header("content-type", "application/json")
            .body(json!({ "name": name }).to_string());
        if let Some(token) = token {
            request = request.header("authorization", &format!("Bearer {token}"));
        }
        client.send(envgate.admin, &request)
    };

    let envgate = with_tls(Setup::new()).start();
    expect(&create(&envgate, None, "acme"), 201);
    let page = envgate.admin_get("/api/v1/audit?tenant=acme").json();
    assert_eq!(
        page["data"][0]["actor"], "certificate CN=platform.example",
        "{page}"
    );
    drop(envgate);

    let envgate = with_tls(with_tokens()).start();
    let refused = create(&envgate, None, "acme");
    expect_problem(&refused, 401, "unauthorized");
    expect(&create(&envgate, Some(ALL), "acme"), 201);
    drop(envgate);

    let envgate = with_tls(with_tokens())
        .set("ENVGATE_ADMIN__TLS__CLIENT_RIGHTS", "read")
        .start();
    expect(&envgate.admin_get(TENANTS), 200);
    let refused = create(&envgate, None, "acme");
    expect_problem(&refused, 403, "right_missing");
    let refused = create(&envgate, Some("a-token-of-nobody"), "acme");
    expect_problem(&refused, 401, "unauthorized");
}

#[test]
fn a_crash_leaves_no_memory_behind_unless_that_is_wanted() {
    let limit = |process: &str| {
        let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size"));
        line.unwrap().split_whitespace().nth(4).unwrap().to_owned()
    };
    let envgate = Envgate::start();
    assert_eq!(limit(&envgate.pid().to_string()), "0");
    let envgate = Setup::new().set("ENVGATE_SERVER__CORE_DUMPS", "true").start();
    assert_eq!(
        limit(&envgate.pid().to_string()),
        limit("self"),
        "as it was inherited"
    );
}
