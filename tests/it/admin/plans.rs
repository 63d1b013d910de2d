use serde_json::json;

use super::api::{TENANTS, expect, expect_problem, get, send, setup};
use crate::common::upstream::{Then, Upstream};

const PLANS: &str = r#"
[credentials]
research = { key = { env = "RESEARCH" }, budget = "default" }

[plans.research]
operations = ["list", "retrieve"]
dialect = "anthropic"
unknown_field = "warn"
workspace_id = "wrkspc_1"
credential = "research"
requests_per_minute = 30
weight = 2

[plans.research.policy]
networking = "limited"
allowed_hosts = ["*.example.com"]
config_types = ["cloud"]
packages.pip = { install = "pinned", deny = ["Evil_Package"] }
"#;

#[test]
fn plans_are_told_as_the_settings_have_them_without_a_credential() {
    let upstream = Upstream::always(Then::environment());
    let envgate = setup()
        .set("RESEARCH", "sk-research-secret")
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .file(PLANS)
        .start();
    for name in ["a", "b"] {
        let body = json!({ "name": name, "plan": "research" });
        expect(&send(&envgate, "POST", TENANTS, &body.to_string()), 201);
    }
    let plan = expect(&get(&envgate, "/api/v1/plans/research"), 200);
    assert_eq!(
        plan,
        json!({
            "name": "research",
            "tenants": 2,
            "operations": ["list", "retrieve"],
            "dialect": "anthropic",
            "unknown_field": "warn",
            "host_format": "reject",
            "workspace_id": "wrkspc_1",
            "credential": "research",
            "requests_per_minute": 30,
            "concurrent_requests": null,
            "weight": 2,
            "betas": null,
            "force_delete": false,
            "server_timing": false,
            "policy": {
                "networking": "limited",
                "allowed_hosts": ["*.example.com"],
                "hosts": "any",
                "package_managers": true,
                "mcp_servers": true,
                "config_types": ["cloud"],
                "scopes": null,
                "packages": {"pip": {"install": "pinned", "allow": null, "deny": ["evil-package"]}},
            },
        })
    );
    let first = expect(&get(&envgate, "/api/v1/plans?limit=1"), 200);
    assert_eq!(
        (&first["data"][0]["name"], &first["data"][0]["tenants"]),
        (&"default".into(), &1.into())
    );
    assert_eq!(first["data"][0]["policy"], json!(null));
    let next = first["next_page"].as_str().unwrap();
    let second = expect(&get(&envgate, &format!("/api/v1/plans?page={next}")), 200);
    assert_eq!(second, json!({"data": [plan], "next_page": null}));
    assert!(!second.to_string().contains("sk-"), "{second}");
    expect_problem(&get(&envgate, "/api/v1/plans/gold"), 404, "plan_not_found");
}

#[test]
fn a_plan_that_is_not_configured_is_refused_with_the_nearest_name() {
    let envgate = setup().file("[plans.research]\n").start();
    let refused = send(&envgate, "POST", TENANTS, r#"{"name":"acme","plan":"reserch"}"#);
    let problem = expect_problem(&refused, 422, "plan_not_configured");
    assert_eq!(
        problem["detail"],
        "the plan reserch is not configured here; did you mean research?"
    );
    let refused = send(&envgate, "PATCH", "/api/v1/tenants/demo", r#"{"plan":"gold"}"#);
    expect_problem(&refused, 422, "plan_not_configured");

    let warned = envgate.run_on_its_store(&["tenants", "create", "acme", "--plan", "gold"]);
    assert!(
        warned.status.success(),
        "a command may know other settings than the gateway"
    );
    let told = String::from_utf8(warned.stderr).unwrap();
    assert!(
        told.contains("warning: the plan \"gold\" is not configured"),
        "{told}"
    );
}
