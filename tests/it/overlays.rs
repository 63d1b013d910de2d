//! Schemas of the operator's own, laid over those that ship: part of a reload, whole or not at all, and never past
//! what a policy can judge.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};
use crate::reload::{APPLIED, REFUSED, TOKEN, UNCHANGED, apply, preview, reload};

const SETTINGS: &str = "contract.schemas = \"schemas\"\n";
const GUARDED: &str = "contract.schemas = \"schemas\"\n[plans.guarded.policy]\nnetworking = \"limited\"\n";
/// A field and a value that no document of this release names.
const NEW: &str = r##"[
  {"op": "add", "path": "/$defs/cloud/properties/gpu", "value": {"title": "GPUs", "type": ["integer", "null"]}},
  {"op": "add", "path": "/$defs/networking/properties/type/enum/-", "value": "peered"},
  {"op": "add", "path": "/$defs/packages/properties/conda", "value": {"$ref": "#/$defs/package_list"}}
]"##;
/// The page that has them as its example.
const PAGE: &str = include_str!("../../docs/schemas.md");
/// A body that has them, in an order and with spaces of its own.
const BODY: &str = r#"{ "config": {"networking":{"type":"peered"}, "gpu" : 2, "type":"cloud","packages":{"conda":["numpy"]}},"name":"n" }"#;

fn start(upstream: &Upstream, text: &str, plan: &str) -> Envgate {
    let setup = Setup::new()
        .set("ENVGATE_ADMIN__TOKEN", TOKEN)
        .file(text)
        .upstream(upstream.address);
    fs::create_dir_all(setup.path().join("schemas/sandbase")).unwrap();
    let key = setup.tenant("demo", plan);
    setup.start_for(&key)
}

fn file(envgate: &Envgate, name: &str) -> PathBuf {
    envgate.path().join("schemas").join(name)
}

fn lay(envgate: &Envgate, content: &str) {
    fs::write(file(envgate, "environment.patch.json"), content).unwrap();
}

fn create(envgate: &Envgate) -> Response {
    envgate.post("/v1/environments", BODY)
}

/// The faults of a reload that is refused.
#[track_caller]
fn refused(envgate: &Envgate) -> Vec<String> {
    let answer = reload(envgate);
    assert_eq!(answer.status, 400, "{}", answer.text());
    let faults = answer.json()["errors"].as_array().unwrap().clone();
    faults
        .iter()
        .map(|fault| fault["detail"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_field_and_a_value_that_are_laid_over_hold_from_the_next_request_on() {
    let upstream = Upstream::always(Then::environment());
    let envgate = start(&upstream, SETTINGS, "default");
    let error = create(&envgate).expect_error(400, "invalid_request");
    assert_eq!(
        error["details"]["violations"][0]["pointer"],
        "/config/networking/type"
    );

    assert!(
        PAGE.contains(NEW),
        "the example of the page is what is tried here"
    );
    lay(&envgate, NEW);
    envgate.signal("HUP");
    eventually("the folder was read", || envgate.metric(APPLIED) == 1.0);
    for path in ["/v1/environments", "/v1/environments/env_1"] {
        let answer = envgate.post(path, BODY);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 2, "nothing went up before");
    assert!(
        seen.iter().all(|seen| seen.body == BODY.as_bytes()),
        "byte for byte"
    );
    let explained = envgate
        .post("/v1/environments", &BODY.replace(": 2", ": 2.5"))
        .expect_error(400, "invalid_request");
    assert_eq!(
        explained["message"],
        "config.gpu must be a whole number or null, not a number"
    );

    fs::remove_file(file(&envgate, "environment.patch.json")).unwrap();
    assert_eq!(reload(&envgate).status, 200);
    assert_eq!(create(&envgate).status, 400, "it is as it ships again");
    assert_eq!(reload(&envgate).json()["outcome"], "unchanged");
    envgate.expect_metric(UNCHANGED, 1.0);
}

#[test]
fn a_policy_refuses_what_this_release_does_not_know_before_anything_goes_up() {
    let upstream = Upstream::always(Then::environment());
    let envgate = start(&upstream, GUARDED, "guarded");
    lay(&envgate, NEW);
    assert_eq!(reload(&envgate).status, 200);
    for path in ["/v1/environments", "/v1/environments/env_1"] {
        let error = envgate.post(path, BODY).expect_error(403, "permission_error");
        assert_eq!(error["details"]["error_code"], "policy_violation", "{error}");
        let told: Vec<_> = error["details"]["violations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|violation| {
                let text = |name: &str| violation[name].as_str().unwrap().to_owned();
                (text("keyword"), text("pointer"))
            })
            .collect();
        let unknown = |pointer: &str| ("unknown".to_owned(), pointer.to_owned());
        assert_eq!(
            told,
            [
                unknown("/config/networking/type"),
                unknown("/config/gpu"),
                unknown("/config/packages/conda"),
            ]
        );
        assert_eq!(
            error["message"],
            "config.networking.type must be \"unrestricted\" or \"limited\", not \"peered\" as far as this gateway \
             knows, so the policy of this plan cannot allow it (and 2 more violations)"
        );
    }
    assert_eq!(upstream.seen().len(), 0, "not even a look at what is stored");
    let known = r#"{"config":{"type":"cloud","networking":{"type":"limited"}},"name":"n"}"#;
    assert_eq!(envgate.post("/v1/environments", known).status, 200);
}

#[test]
fn an_environment_that_has_what_nobody_knows_is_shown_recorded_and_judged_without_a_fall() {
    let config =
        r#""config":{"type":"cloud","gpu":2,"proxy":"https://me:hunter2@x","networking":{"type":"peered"},"#;
    let odd = ENVIRONMENT.replace(
        r#""config":{"type":"cloud","networking":{"type":"unrestricted"},"#,
        config,
    );
    let upstream = Upstream::always(Then::respond("200 OK", &[], &odd));
    let envgate = start(&upstream, GUARDED, "default");
    lay(&envgate, NEW);
    assert_eq!(reload(&envgate).status, 200);
    assert!(
        create(&envgate).text().contains(config),
        "replies are shown as they came"
    );
    assert_eq!(envgate.post("/v1/environments/env_1", BODY).status, 200);
    let moved = envgate.run(&["tenants", "set-plan", "demo", "guarded"]);
    assert!(moved.status.success());
    let update = r#"{"description":"d"}"#;
    eventually("the policy holds", || {
        envgate.post("/v1/environments/env_1", update).status == 403
    });
    let error = envgate
        .post("/v1/environments/env_1", update)
        .expect_error(403, "permission_error");
    assert_eq!(error["details"]["violations"][0]["keyword"], "unknown", "{error}");
    assert!(!error.to_string().contains("hunter2"));
    assert!(!envgate.log().contains("hunter2"), "{}", envgate.log());
    let audit = envgate.run_well(&["audit", "--json"]);
    assert!(audit.contains("peered") && !audit.contains("hunter2"), "{audit}");
    envgate.expect_metric("envgate_panics_total", 0.0);
}

#[test]
fn a_folder_with_any_fault_is_refused_whole_and_what_was_laid_over_before_stays() {
    let upstream = Upstream::always(Then::environment());
    let envgate = start(&upstream, SETTINGS, "default");
    lay(&envgate, NEW);
    assert_eq!(reload(&envgate).status, 200);
    let at = |name: &str| file(&envgate, name);
    let folder = envgate.path().join("schemas");
    let aside = envgate.path().join("aside");
    let outside = envgate.path().join("envgate.toml");
    let leaving =
        |target: &str| json!([{"op": "add", "path": "/$defs/scope", "value": {"$ref": target}}]).to_string();
    let mut count = 0.0;
    let mut expect = |told: &str| {
        let faults = refused(&envgate);
        count += 1.0;
        assert!(
            faults.iter().any(|fault| fault.contains(told)),
            "{told}: {faults:?}"
        );
        assert_eq!(create(&envgate).status, 200, "{told}: the old ones hold");
        envgate.expect_metric(REFUSED, count);
    };

    fs::rename(&folder, &aside).unwrap();
    expect("contract.schemas: cannot be read: No such file or directory");
    symlink("schemas", &folder).unwrap();
    expect("contract.schemas: cannot be read: Too many levels of symbolic links");
    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();

    lay(&envgate, NEW.split_at(100).0);
    expect("environment.patch.json: is not JSON (line ");
    lay(&envgate, "");
    expect("environment.patch.json: is empty");
    for target in [
        "file:///etc/passwd",
        "https://example.com/x.json",
        "../x.json",
        "/etc/passwd",
    ] {
        lay(&envgate, &leaving(target));
        expect("environment.json (with environment.patch.json)#/$defs/scope/$ref: leads out of the schemas");
    }
    fs::remove_file(at("environment.patch.json")).unwrap();
    symlink(&outside, at("environment.json")).unwrap();
    expect("environment.json: is a link that leads out of the folder");
    fs::remove_file(at("environment.json")).unwrap();
    fs::write(at("sandbase/crate.json"), "{}").unwrap();
    expect("sandbase/crate.json: there is no schema of this name; did you mean \"sandbase/create.json\"?");
    fs::remove_file(at("sandbase/crate.json")).unwrap();

    lay(&envgate, NEW);
    assert_eq!(reload(&envgate).json()["outcome"], "unchanged", "as it was");
    envgate.expect_log("leads out of the schemas");
}

#[test]
fn check_tells_every_fault_and_what_a_reload_would_change() {
    let upstream = Upstream::always(Then::environment());
    let envgate = start(&upstream, SETTINGS, "default");
    let check = |arguments: &[&str]| {
        let output = envgate.run(&[&["check"], arguments].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(preview(&envgate).json()["changes"], json!([]));
    lay(&envgate, NEW);
    let admin = format!("http://{}", envgate.admin);
    let (is_good, out, err) = check(&["--against-running", "--admin", &admin]);
    assert!(is_good, "{out}{err}");
    assert!(
        out.contains("ok: schemas: environment.patch.json laid over the schemas of this release"),
        "{out}"
    );
    assert!(
        out.contains("contract.schemas"),
        "the same folder with another content: {out}"
    );
    let change = preview(&envgate).json()["changes"][0].clone();
    assert_eq!(change["setting"], "contract.schemas", "{change}");
    assert_ne!(change["needs_restart"], Value::Bool(true), "{change}");

    fs::write(file(&envgate, "sandbase/update.json"), "{}").unwrap();
    fs::write(file(&envgate, "enviroment.json"), "{}").unwrap();
    let (is_good, out, err) = check(&[]);
    assert!(!is_good, "{out}");
    for told in [
        "enviroment.json: there is no schema of this name",
        "sandbase/update.json: its $id has to be",
    ] {
        assert!(err.contains(told), "{err}");
    }
    let served = envgate.run(&["serve"]);
    assert!(!served.status.success(), "no gateway starts with it");
}

#[test]
fn another_file_is_seen_where_settings_are_followed() {
    let upstream = Upstream::always(Then::environment());
    let text = format!("{SETTINGS}server.reload_on_change = true\n");
    let envgate = start(&upstream, &text, "default");
    lay(&envgate, NEW);
    eventually("the new file holds", || create(&envgate).status == 200);
    fs::remove_file(file(&envgate, "environment.patch.json")).unwrap();
    eventually("it is gone", || create(&envgate).status == 400);
}

#[test]
fn a_hundred_reloads_under_load_lose_no_request_and_leave_no_schemas_behind() {
    let upstream = Upstream::always(Then::environment());
    let envgate = start(&upstream, SETTINGS, "default");
    let known = r#"{"name":"n","config":{"type":"cloud","networking":{"type":"unrestricted"}}}"#;
    let churn = |rounds: std::ops::Range<usize>| {
        for round in rounds {
            let field =
                json!([{"op": "add", "path": format!("/$defs/cloud/properties/f{round}"), "value": true}]);
            lay(&envgate, &field.to_string());
            assert_eq!(reload(&envgate).json()["outcome"], "applied");
            let body = json!({"name": "n", "config": {"type": "cloud", format!("f{round}"): 1}}).to_string();
            assert_eq!(envgate.post("/v1/environments", &body).status, 200, "{round}");
        }
    };
    churn(0..50);
    let before = envgate.resident_bytes();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut count = 0;
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = envgate.post("/v1/environments", known);
                assert_eq!(answer.status, 200, "{}", answer.text());
                count += 1;
            }
            count
        });
        churn(50..150);
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(client.join().unwrap() > 0);
    });
    let grown = envgate.resident_bytes().saturating_sub(before);
    // One set of schemas takes some hundred kilobytes.
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes more");
    let first = r#"{"name":"n","config":{"type":"cloud","f0":1}}"#;
    assert_eq!(
        envgate.post("/v1/environments", first).status,
        400,
        "only the last holds"
    );
}

#[test]
fn the_settings_may_do_without_a_folder_from_one_reload_to_the_next() {
    let upstream = Upstream::always(Then::environment());
    let envgate = start(&upstream, SETTINGS, "default");
    lay(&envgate, NEW);
    assert_eq!(reload(&envgate).status, 200);
    assert_eq!(create(&envgate).status, 200);
    apply(&envgate, "");
    assert_eq!(create(&envgate).status, 400);
    let told = apply(&envgate, SETTINGS);
    assert_eq!(told["changes"][0]["setting"], "contract.schemas", "{told}");
    assert_eq!(create(&envgate).status, 200);
    let unauthenticated = Request::new(envgate.gateway, "POST", "/v1/environments")
        .body(BODY)
        .send();
    assert_eq!(unauthenticated.status, 401);
}
