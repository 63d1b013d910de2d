//! A plan's policy is judged on the environment that would result, whatever the request leaves out.

use std::time::Duration;

use crate::common::EXAMPLE;
use crate::common::client::Response;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};
use serde_json::Value;

const PLANS: &str = r#"
[plans.guarded.policy]
networking = "limited"
allowed_hosts = ["*.example.com"]

[plans.guarded.policy.packages.pip]
deny = ["evil"]
"#;

fn put_on_plan(envgate: &Envgate, plan: &str) {
    let moved = envgate.run(&["tenants", "set-plan", "demo", plan]);
    assert!(
        moved.status.success(),
        "{}",
        String::from_utf8_lossy(&moved.stderr)
    );
}

/// The embedded service, with the demo tenant on the guarded plan and an environment that is older than the policy.
fn with_an_older_environment() -> (Envgate, String) {
    let envgate = Setup::new().file(PLANS).start();
    let created = envgate.post("/v1/environments", r#"{"name":"old"}"#);
    assert_eq!(created.status, 200, "{}", created.text());
    let path = format!("/v1/environments/{}", created.json()["id"].as_str().unwrap());
    put_on_plan(&envgate, "guarded");
    eventually("the policy holds", || {
        envgate.post("/v1/environments", r#"{"name":"new"}"#).status == 403
    });
    (envgate, path)
}

fn violation(response: &Response) -> Value {
    let error = response.expect_error(403, "permission_error");
    assert_eq!(error["details"]["error_code"], "policy_violation", "{error}");
    error["details"]["violations"][0].clone()
}

#[test]
fn an_update_of_an_older_environment_is_refused_until_it_repairs_it() {
    let (envgate, path) = with_an_older_environment();
    let elsewhere = violation(&envgate.post(&path, r#"{"description":"left the network out"}"#));
    assert_eq!(elsewhere["pointer"], "/config/networking/type");
    assert!(
        elsewhere["message"].as_str().unwrap().contains("unrestricted"),
        "{elsewhere}"
    );
    assert_eq!(
        envgate.get(&path).json()["description"],
        Value::Null,
        "nothing was changed"
    );

    let repair =
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["api.example.com"]}}}"#;
    let repaired = envgate.post(&path, repair);
    assert_eq!(repaired.status, 200, "{}", repaired.text());
    assert_eq!(envgate.post(&path, r#"{"description":"now it may"}"#).status, 200);
}

#[test]
fn what_an_update_adds_is_judged_with_what_is_stored() {
    let (envgate, _) = with_an_older_environment();
    let update =
        |config: &str| envgate.post(EXAMPLE, &format!(r#"{{"config":{{"type":"cloud",{config}}}}}"#));
    let apex = r#""networking":{"type":"limited","allowed_hosts":["a.example.com","example.com"]}"#;
    assert_eq!(
        violation(&update(apex))["pointer"],
        "/config/networking/allowed_hosts/1"
    );
    for entry in [
        "Evil==1.0",
        "e-v-i-l",
        "--index-url=https://x",
        "git+https://x/y",
        "-r file",
    ] {
        let response = update(&format!(r#""packages":{{"pip":["pandas","{entry}"]}}"#));
        if entry == "e-v-i-l" {
            assert_eq!(response.status, 200, "another name: {}", response.text());
            continue;
        }
        assert_eq!(
            violation(&response)["pointer"],
            "/config/packages/pip/1",
            "{entry}"
        );
    }
    assert_eq!(
        envgate
            .request("POST", &format!("{EXAMPLE}/archive"))
            .send()
            .status,
        200
    );
    let archived = envgate
        .post(EXAMPLE, r#"{"name":"n"}"#)
        .expect_error(400, "invalid_request");
    assert_eq!(
        archived["details"]["error_code"], "environment_archived",
        "told before anything goes up"
    );
}

/// A gateway whose one tenant is on `plan`, in front of an upstream of the test's own.
fn before(upstream: &Upstream, plan: &str) -> Envgate {
    let setup = Setup::new().upstream(upstream.address).file(PLANS);
    let key = setup.tenant("demo", plan);
    setup.start_for(&key)
}

fn allowed() -> String {
    ENVIRONMENT.replace(
        r#"{"type":"unrestricted"}"#,
        r#"{"type":"limited","allow_mcp_servers":false,"allow_package_managers":false,"allowed_hosts":[]}"#,
    )
}

fn lines(upstream: &Upstream) -> Vec<String> {
    let method = |line: &String| line.split(' ').next().unwrap().to_owned();
    upstream.seen().iter().map(|seen| method(&seen.line)).collect()
}

#[test]
fn only_a_policy_costs_a_read() {
    let upstream = Upstream::always(Then::respond("200 OK", &[], &allowed()));
    for (plan, asked) in [
        ("default", vec!["POST"]),
        ("guarded", vec!["POST", "GET", "POST"]),
    ] {
        let envgate = before(&upstream, plan);
        assert_eq!(
            envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#).status,
            200
        );
        assert_eq!(lines(&upstream), asked, "{plan}");
    }
}

/// A plan whose tenants have no pip and a limited network, before an upstream that accepts whatever comes.
fn before_a_lax_upstream(stored: &str) -> (Upstream, Envgate) {
    let stored = stored.to_owned();
    let upstream = Upstream::start(move |_, _| Then::respond("200 OK", &[], &stored));
    let plan = "[plans.lax.policy]\nconfig_types = [\"cloud\"]\nnetworking = \"limited\"\n\
                [plans.lax.policy.packages.pip]\ninstall = \"off\"\n";
    let setup = Setup::new().upstream(upstream.address).file(plan);
    let key = setup.tenant("demo", "lax");
    let envgate = setup.start_for(&key);
    (upstream, envgate)
}

fn writes(upstream: &Upstream) -> usize {
    lines(upstream).iter().filter(|method| *method == "POST").count()
}

#[test]
fn what_the_upstream_should_refuse_itself_is_judged_before_anything_goes_up() {
    let out_of_reach = r#"{"type":"cloud","networking":{"type":"limited"},"packages":{"pip":["evil"]}}"#;
    let named = |config: &str| format!(r#"{{"name":"n","config":{config}}}"#);
    let code = |response: &Response, status, error_type| {
        response.expect_error(status, error_type)["details"]["error_code"].clone()
    };

    let (upstream, envgate) = before_a_lax_upstream(&allowed());
    for path in ["/v1/environments", "/v1/environments/env_1"] {
        let refused = violation(&envgate.post(path, &named(out_of_reach)));
        assert_eq!(refused["pointer"], "/config/packages/pip", "{path}");
    }
    let changed = envgate.post("/v1/environments/env_1", r#"{"config":{"type":"self_hosted"}}"#);
    assert_eq!(
        code(&changed, 400, "invalid_request"),
        "invalid_config_type_change"
    );
    assert_eq!(writes(&upstream), 0);

    let cloud = r#""config":{"type":"cloud","networking":{"type":"unrestricted"},"packages":{"type":"packages","apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":[]}}"#;
    let own = ENVIRONMENT.replace(cloud, r#""config":{"type":"self_hosted"}"#);
    let (upstream, envgate) = before_a_lax_upstream(&own);
    let changed = envgate.post("/v1/environments/env_1", r#"{"config":{"type":"cloud"}}"#);
    assert_eq!(
        code(&changed, 400, "invalid_request"),
        "invalid_config_type_change"
    );
    assert_eq!(writes(&upstream), 0);

    let archived = allowed().replace(r#""archived_at":null"#, r#""archived_at":"2026-06-01T00:00:00Z""#);
    let (upstream, envgate) = before_a_lax_upstream(&archived);
    let refused = envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#);
    assert_eq!(code(&refused, 400, "invalid_request"), "environment_archived");
    assert_eq!(writes(&upstream), 0);
}

#[test]
fn a_null_that_could_lift_the_limits_of_a_network_does_not_go_up() {
    let (upstream, envgate) = before_a_lax_upstream(&allowed());
    let update = |config: &str| envgate.post("/v1/environments/env_1", &format!(r#"{{"config":{config}}}"#));
    for config in [r#"{"type":"cloud","networking":null}"#, "null"] {
        let refused = violation(&update(config));
        assert_eq!(refused["pointer"], "/config/networking/type", "{config}");
    }
    assert_eq!(writes(&upstream), 0);
    let harmless = r#"{"type":"cloud","packages":null,"networking":{"type":"limited","allowed_hosts":null}}"#;
    assert_eq!(update(harmless).status, 200);
    assert_eq!(writes(&upstream), 1);
}

#[test]
fn what_cannot_be_modelled_is_refused_under_a_policy() {
    let gpu = allowed().replace(r#""config":{"#, r#""config":{"gpu":true,"#);
    let (upstream, envgate) = before_a_lax_upstream(&gpu);
    let refused = violation(&envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#));
    assert_eq!(
        (&refused["pointer"], &refused["keyword"]),
        (&"/config/gpu".into(), &"unknown".into())
    );
    assert_eq!(writes(&upstream), 0);
}

#[test]
fn a_result_that_breaks_the_policy_all_the_same_is_told_to_the_operator() {
    let upstream = Upstream::start(|_, seen| {
        let is_read = seen.line.starts_with("GET");
        let body = if is_read {
            allowed()
        } else {
            ENVIRONMENT.to_owned()
        };
        Then::respond("200 OK", &[], &body)
    });
    let envgate = before(&upstream, "guarded");
    assert_eq!(
        envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#).status,
        200
    );
    envgate.expect_metric("envgate_policy_breaches_total", 1.0);
    envgate.expect_log("/config/networking/type");
}

#[test]
fn updates_of_one_environment_take_turns() {
    let upstream = Upstream::start(|_, _| match Then::respond("200 OK", &[], &allowed()) {
        Then::Reply(bytes) => Then::Late(Duration::from_millis(100), bytes),
        other => other,
    });
    let envgate = before(&upstream, "guarded");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                assert_eq!(
                    envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#).status,
                    200
                )
            });
        }
    });
    assert_eq!(lines(&upstream), ["GET", "POST", "GET", "POST", "GET", "POST"]);
}
