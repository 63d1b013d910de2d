use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::{TENANTS, TOKEN, expect, expect_problem, get, setup};
use crate::common::EXAMPLE;
use crate::common::client::Request;
use crate::common::envgate::{Envgate, eventually};

const AUDIT: &str = "/api/v1/audit";
const COLLECTION: &str = "/v1/environments";

fn read(envgate: &Envgate, query: &str) -> Vec<Value> {
    let page = expect(&get(envgate, &format!("{AUDIT}?{query}")), 200);
    let mut records = page["data"].as_array().unwrap().clone();
    // What the operator did for the test is left out.
    let is_tenants = |operation: &str| !operation.ends_with("_tenant") && !operation.ends_with("_key");
    records.retain(|record| is_tenants(record["operation"].as_str().unwrap()));
    records
}

/// Waits until there are so many records that a query asks for, and gives them back.
#[track_caller]
fn wait_for(envgate: &Envgate, count: usize, query: &str) -> Vec<Value> {
    eventually("the records are written", || read(envgate, query).len() >= count);
    let records = read(envgate, query);
    assert_eq!(records.len(), count, "{records:#?}");
    records
}

fn environment(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// Creates an environment, and gives back its id.
fn create(envgate: &Envgate, name: &str) -> String {
    let created = envgate.post(COLLECTION, &json!({ "name": name }).to_string());
    assert_eq!(created.status, 200, "{}", created.text());
    created.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_tenant_did_is_read_back_newest_first_without_a_secret() {
    let envgate = setup().start();
    create(&envgate, "new");
    let body = r#"{"name":"renamed","metadata":{"team":"metadata-s3cret"}}"#;
    let updated = envgate.post(EXAMPLE, body);
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert_eq!(envgate.post(EXAMPLE, r#"{"nmae":"metadata-s3cret"}"#).status, 400);
    let records = wait_for(&envgate, 3, "");
    let told: Vec<_> = records
        .iter()
        .map(|record| [&record["operation"], &record["outcome"], &record["status"]])
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["update", "refused", 400],
            ["update", "ok", 200],
            ["create", "ok", 200]
        ])
    );

    let tenant = expect(&get(&envgate, "/api/v1/tenants/demo"), 200);
    let record = &records[1];
    assert_eq!(
        record["tenant"],
        json!({"id": tenant["id"], "name": "demo"}),
        "{record}"
    );
    assert_eq!(record["key"], envgate.key[..14], "{record}");
    assert_eq!(record["environment"], environment(EXAMPLE), "{record}");
    assert_eq!(record["error"], Value::Null, "{record}");
    assert_eq!(record["request_id"].as_str(), updated.header("request-id"));
    assert_eq!(record["repeats"], 1, "{record}");
    let at = record["at"].as_str().unwrap();
    let created_at = tenant["created_at"].as_str().unwrap();
    assert!(
        at.len() == created_at.len() && at > created_at,
        "times have one form: {at}, {created_at}"
    );
    let change = record["change"].as_array().unwrap();
    for operation in [
        json!({"op": "replace", "path": "/name", "value": "renamed"}),
        json!({"op": "add", "path": "/metadata/team", "value": "***"}),
    ] {
        assert!(change.contains(&operation), "{change:?}");
    }
    assert_eq!(records[0]["error"], "schema_violation");
    assert_eq!(records[0]["change"], Value::Null);

    let text = json!(records).to_string();
    for secret in ["metadata-s3cret", &envgate.key[14..], TOKEN] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn pages_go_on_from_where_they_stopped_whatever_is_written_meanwhile() {
    let envgate = setup().start();
    for number in 0..7 {
        create(&envgate, &format!("before {number}"));
    }
    let mut left: BTreeSet<_> = wait_for(&envgate, 7, "")
        .iter()
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect();
    let mut query = "operation=create&limit=3".to_owned();
    let mut last = String::new();
    for (page_number, count) in [3, 3, 1].into_iter().enumerate() {
        let page = expect(&get(&envgate, &format!("{AUDIT}?{query}")), 200);
        let records = page["data"].as_array().unwrap();
        assert_eq!(records.len(), count, "{page}");
        for record in records {
            let id = record["id"].as_str().unwrap();
            assert!(left.remove(id), "{id} is there once");
            assert!(last.is_empty() || *id < *last, "newest first");
            id.clone_into(&mut last);
        }
        assert_eq!(page["next_page"].is_null(), page_number == 2, "{page}");
        create(&envgate, "meanwhile");
        wait_for(&envgate, 8 + page_number, "");
        query = format!(
            "operation=create&limit=3&page={}",
            page["next_page"].as_str().unwrap_or_default()
        );
    }
    assert!(left.is_empty(), "{left:?} were passed over");
}

#[test]
fn each_parameter_narrows_what_is_told() {
    let setup = setup();
    let [demo, acme] = ["demo", "acme"].map(|name| setup.tenant(name, "default"));
    let envgate = setup.start_for(&demo);
    let id = create(&envgate, "one");
    wait_for(&envgate, 1, "");
    let created = Request::new(envgate.gateway, "POST", COLLECTION)
        .header("x-api-key", &acme)
        .header("content-type", "application/json")
        .body(r#"{"name":"theirs"}"#)
        .send();
    assert_eq!(created.status, 200, "{}", created.text());
    wait_for(&envgate, 2, "");
    let path = format!("{COLLECTION}/{id}");
    assert_eq!(envgate.post(&path, r#"{"nmae":1}"#).status, 400);
    let all = wait_for(&envgate, 3, "");
    let acme_id = &all[1]["tenant"]["id"].as_str().unwrap();
    let time = |number: usize| all[number]["at"].as_str().unwrap();
    for (query, expected) in [
        ("tenant=acme".to_owned(), &[1][..]),
        (format!("tenant={acme_id}"), &[1]),
        ("tenant=nobody".to_owned(), &[]),
        (format!("environment={id}"), &[0, 2]),
        ("operation=create".to_owned(), &[1, 2]),
        ("operation=adopt".to_owned(), &[]),
        ("outcome=ok".to_owned(), &[1, 2]),
        ("outcome=refused".to_owned(), &[0]),
        ("outcome=schema_violation".to_owned(), &[0]),
        (format!("from={}", time(1)), &[0, 1]),
        (format!("until={}", time(1)), &[2]),
        (format!("from={}&until={}", time(1), time(0)), &[1]),
        ("tenant=demo&operation=create&outcome=ok".to_owned(), &[2]),
        ("from=2026-01-01T00:00:00%2B02:00&limit=1".to_owned(), &[0]),
    ] {
        let expected: Vec<_> = expected.iter().map(|&number| all[number].clone()).collect();
        assert_eq!(read(&envgate, &query), expected, "{query}");
    }
}

#[test]
fn a_wrong_parameter_is_named() {
    let envgate = setup().start();
    let cursor_of_tenants = {
        for name in ["a", "b"] {
            envgate.run(&["tenants", "create", name]);
        }
        let page = expect(&get(&envgate, &format!("{TENANTS}?limit=1")), 200);
        format!("page={}", page["next_page"].as_str().unwrap())
    };
    for (query, told) in [
        ("tenant=", "tenant: expected the name or the id of a tenant"),
        ("tenant=a%00", "tenant: expected the name or the id"),
        ("environment=a/b", "environment: "),
        (
            "operation=list",
            "operation: expected one of create, update, delete, archive, force_delete, adopt",
        ),
        ("operation=updat", "did you mean update?"),
        (
            "outcome=denied",
            "outcome: expected one of ok, refused, unknown, policy_breach",
        ),
        ("outcome=refusd", "did you mean refused?"),
        ("from=yesterday", "from: expected a date and time"),
        (
            "until=2026-01-01T00:00:00+02:00",
            "until: expected a date and time",
        ),
        (
            "from=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z",
            "until: is not after from",
        ),
        ("limit=0", "limit: expected a whole number from 1 to 1000"),
        ("page=aud_0", "page: expected the next_page of an earlier answer"),
        (
            &cursor_of_tenants,
            "page: expected the next_page of an earlier answer",
        ),
        ("limit=1&limit=1", "limit: is there twice"),
        (
            "tenat=demo",
            "tenat: there is no such parameter; did you mean tenant?",
        ),
    ] {
        let refused = get(&envgate, &format!("{AUDIT}?{query}"));
        let problem = expect_problem(&refused, 400, "bad_query");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{query}: {detail}");
    }
}
