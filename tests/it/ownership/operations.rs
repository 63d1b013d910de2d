use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::tenant::{COLLECTION, Tenant, with_id, without_request_id};
use crate::common::EXAMPLE;
use crate::common::client::Response;
use crate::common::envgate::{Envgate, Setup, eventually};

#[test]
fn a_foreign_environment_is_answered_like_one_that_does_not_exist() {
    let envgate = Envgate::start();
    let (demo, other) = (Tenant::demo(&envgate), Tenant::new(&envgate, "other"));
    for operation in 0..4 {
        let foreign = demo.create("theirs");
        let absent = format!("env_01absent{operation}");
        let ask = |id: &str| {
            let (method, path, body) = &with_id(id)[operation];
            without_request_id(&other.send(method, path, *body))
        };
        let expected =
            json!({"type": "error", "error": {"type": "not_found", "message": "environment not found"}});
        for _ in 0..2 {
            assert_eq!(ask(&foreign), (404, expected.clone()));
            assert_eq!(ask(&absent), (404, expected.clone()));
        }
        let untouched = demo.get(&format!("{COLLECTION}/{foreign}")).json();
        assert_eq!(untouched["name"], "theirs");
        assert_eq!(untouched["archived_at"], Value::Null);
    }
}

#[test]
fn the_owner_reads_changes_archives_and_deletes_and_sees_no_stamp() {
    for dialect in ["sandbase", "anthropic"] {
        let envgate = Setup::new().set("ENVGATE_CONTRACT__DIALECT", dialect).start();
        let demo = Tenant::demo(&envgate);
        let created = demo.post(COLLECTION, r#"{"name":"a","metadata":{"team":"x"}}"#);
        let path = format!("{COLLECTION}/{}", created.json()["id"].as_str().unwrap());
        let expect = |response: Response, metadata: Value| {
            assert_eq!(response.status, 200, "{}", response.text());
            assert_eq!(response.json()["metadata"], metadata);
            assert!(!response.text().contains("ten_"), "{}", response.text());
        };
        expect(created, json!({"team": "x"}));
        expect(demo.get(&path), json!({"team": "x"}));
        expect(demo.post(&path, r#"{"metadata":{"team":null}}"#), json!({}));
        expect(demo.post(&path, "{}"), json!({}));
        expect(demo.post(&format!("{path}/archive"), ""), json!({}));
        assert_eq!(demo.send("DELETE", &path, None).status, 200);
        assert_eq!(demo.get(&path).status, 404);
        expect(demo.post(EXAMPLE, r#"{"metadata":{"a":"b"}}"#), json!({"a": "b"}));
    }
}

#[test]
fn nobody_writes_the_stamp() {
    let envgate = Envgate::start();
    let demo = Tenant::demo(&envgate);
    for path in [COLLECTION, EXAMPLE] {
        for metadata in [
            r#"{"envgate:tenant":"ten_1"}"#,
            r#"{"a":"b","\u0065nvgate:tenant":"ten_1"}"#,
            r#"{"envgate\u003atenant":""}"#,
        ] {
            let refused = demo.post(path, &format!(r#"{{"name":"a","metadata":{metadata}}}"#));
            let error = refused.expect_error(400, "invalid_request");
            let violations = &error["details"]["violations"];
            assert_eq!(violations[0]["pointer"], "/metadata/envgate:tenant", "{error}");
            assert_eq!(violations.as_array().unwrap().len(), 1);
        }
    }
    let removed = demo.post(EXAMPLE, r#"{"metadata":{"envgate:tenant":null}}"#);
    removed.expect_error(400, "invalid_request");
    assert_eq!(demo.get(EXAMPLE).status, 200, "it is still the tenant's");
}

#[test]
fn without_the_stamp_there_is_one_tenant_at_most() {
    let setup = Setup::new().set("ENVGATE_OWNERSHIP__STAMP", "false");
    let refused = |setup: &Setup, arguments: &[&str]| {
        let output = setup.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains(
                "ownership.stamp is off, and 2 tenants would share the upstream credential: one, two;"
            ),
            "{said}"
        );
    };
    setup.run_well(&["check"]);
    setup.run_well(&["tenants", "create", "one"]);
    setup.run_well(&["check"]);
    refused(&setup, &["tenants", "create", "two"]);
    assert!(!setup.run_well(&["tenants", "list"]).contains("two"));

    let setup = setup.set("ENVGATE_OWNERSHIP__STAMP", "true");
    setup.run_well(&["tenants", "create", "two"]);
    setup.run_well(&["check"]);
    let setup = setup.set("ENVGATE_OWNERSHIP__STAMP", "false");
    refused(&setup, &["check"]);
    refused(&setup, &["serve"]);
}

#[test]
fn a_second_tenant_that_appears_under_a_running_gateway_without_stamp_stops_both() {
    let envgate = Setup::new().set("ENVGATE_OWNERSHIP__STAMP", "false").start();
    let demo = Tenant::demo(&envgate);
    assert_eq!(demo.get(EXAMPLE).status, 200);
    assert!(
        envgate
            .run_on_its_store(&["tenants", "create", "two"])
            .status
            .success()
    );
    eventually("nobody is let through", || demo.get(EXAMPLE).status == 403);
    demo.get(COLLECTION).expect_error(403, "permission_error");
}

#[test]
fn a_foreign_environment_takes_as_long_as_one_that_does_not_exist() {
    const IDS: usize = 60;
    let envgate = Envgate::start();
    let (demo, other) = (Tenant::demo(&envgate), Tenant::new(&envgate, "other"));
    let foreign: Vec<_> = (0..IDS)
        .map(|number| demo.create(&format!("n{number}")))
        .collect();
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    };
    // At first the upstream is asked, then nobody is.
    for round in 0..2 {
        let (mut theirs, mut nobodys) = (Vec::new(), Vec::new());
        for (number, foreign) in foreign.iter().enumerate() {
            let time = |id: &str| {
                let asked = Instant::now();
                assert_eq!(other.post(&format!("{COLLECTION}/{id}"), "{}").status, 404);
                asked.elapsed()
            };
            theirs.push(time(foreign));
            nobodys.push(time(&format!("env_01absent{number}")));
        }
        let ratio = median(theirs) / median(nobodys);
        assert!((0.5..2.0).contains(&ratio), "round {round}: {ratio}");
    }
}
