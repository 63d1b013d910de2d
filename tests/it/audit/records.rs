//! What a record says, and of what there is one.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::{Audited, COLLECTION, is_operators};
use crate::common::EXAMPLE;
use crate::common::envgate::{OPERATOR_KEY, Setup, eventually};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};
use serde_json::{Value, json};

#[track_caller]
fn assert_refused(record: &Value, operation: &str, error: &str, status: u16) {
    assert_eq!(record["operation"], operation, "{record}");
    assert_eq!(record["outcome"], "refused", "{record}");
    assert_eq!(record["error"], error, "{record}");
    assert_eq!(record["status"], status, "{record}");
    assert_eq!(record["change"], Value::Null, "{record}");
}

#[test]
fn every_write_is_one_record_of_who_did_what_and_a_read_is_none() {
    let audited = Audited::start(Setup::new(), Setup::start);
    let envgate = &audited.envgate;
    let updated = envgate.post(EXAMPLE, r#"{"name":"renamed","metadata":{"team":"s3cret"}}"#);
    assert_eq!(updated.status, 200, "{}", updated.text());
    let created = envgate.post(COLLECTION, r#"{"name":"new"}"#);
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("{COLLECTION}/{id}");
    assert_eq!(envgate.get(&path).status, 200);
    assert_eq!(envgate.get(COLLECTION).status, 200);
    assert_eq!(
        envgate.request("POST", &format!("{path}/archive")).send().status,
        200
    );
    assert_eq!(envgate.request("DELETE", &path).send().status, 200);

    let records = audited.records(4);
    let operations: Vec<_> = records.iter().map(|record| &record["operation"]).collect();
    assert_eq!(operations, ["update", "create", "archive", "delete"]);
    for record in &records {
        assert_eq!(record["outcome"], "ok", "{record}");
        assert_eq!(record["status"], 200, "{record}");
        assert_eq!(record["error"], Value::Null, "{record}");
        assert_eq!(record["tenant"]["name"], "demo", "{record}");
        assert!(record["tenant"]["id"].as_str().unwrap().starts_with("ten_"));
        assert_eq!(record["key"], envgate.key[..14], "{record}");
        assert_eq!(record["repeats"], 1, "{record}");
    }
    let request_ids: Vec<_> = records
        .iter()
        .map(|record| record["request_id"].as_str())
        .collect();
    assert_eq!(
        request_ids[..2],
        [updated.header("request-id"), created.header("request-id")]
    );
    assert_eq!(records[0]["environment"], EXAMPLE.rsplit('/').next().unwrap());
    assert!(
        records[1..]
            .iter()
            .all(|record| record["environment"] == id.as_str())
    );

    let change = records[0]["change"].as_array().unwrap();
    let renamed = json!({"op": "replace", "path": "/name", "value": "renamed"});
    assert!(
        change.contains(&renamed),
        "the owner was read, so what was is known: {change:?}"
    );
    assert!(
        change.contains(&json!({"op": "add", "path": "/metadata/team", "value": "***"})),
        "{change:?}"
    );
    assert_eq!(records[1]["change"][0]["op"], "add");
    assert_eq!(
        records[1]["change"][0]["value"]["metadata"],
        json!({}),
        "without the stamp"
    );
    assert_eq!(
        records[2]["change"][0]["op"], "replace",
        "nobody had to read it before"
    );

    let file = audited.directory.join("audit.jsonl");
    // The four, and what the first start made. They are written together, a moment after the store has them.
    eventually("the file has the records", || {
        std::fs::read_to_string(&file).unwrap().lines().count() == 6
    });
    let lines = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (operators, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(is_operators);
    assert_eq!(lines, records);
    let made: Vec<_> = operators.iter().map(|record| &record["operation"]).collect();
    assert_eq!(made, ["create_tenant", "create_key"], "what the first start made");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_refused_write_of_a_known_caller_is_a_record_too() {
    let plans = "[plans.reader]\noperations = [\"list\", \"retrieve\"]\n\
                 [plans.guarded.policy]\nnetworking = \"limited\"\n";
    let setup = Setup::new().file(plans);
    let owner = setup.tenant("owner", "default");
    let reader = setup.tenant("reader", "reader");
    let guarded = setup.tenant("guarded", "guarded");
    let audited = Audited::start(setup, |setup| {
        setup
            .set("ENVGATE_CONTRACT__DIALECT", "anthropic")
            .start_for(&owner)
    });
    let created = audited.envgate.post(COLLECTION, r#"{"name":"mine"}"#);
    let path = format!("{COLLECTION}/{}", created.json()["id"].as_str().unwrap());
    let update = Some(r#"{"name":"n"}"#);
    for (key, method, path, body, status) in [
        (&owner, "POST", COLLECTION, Some(r#"{"nmae":"x"}"#), 400),
        (&guarded, "POST", COLLECTION, update, 403),
        (&guarded, "POST", &*path, update, 404),
        (&guarded, "DELETE", &*path, None, 404),
        (&reader, "POST", &*path, update, 403),
        (&reader, "GET", COLLECTION, None, 200),
        (&"sk-eg-nobody-knows-this".to_owned(), "DELETE", &*path, None, 401),
    ] {
        let response = audited.send(key, method, path, body);
        assert_eq!(response.status, status, "{method} {path}: {}", response.text());
    }
    let records = audited.records(6);
    assert_refused(&records[1], "create", "schema_violation", 400);
    assert_refused(&records[2], "create", "policy_violation", 403);
    assert_refused(&records[3], "update", "environment_not_found", 404);
    assert_refused(&records[4], "delete", "environment_not_found", 404);
    assert_refused(&records[5], "update", "forbidden", 403);
    assert_eq!(records[2]["tenant"]["name"], "guarded");
    assert_eq!(records[5]["key"], reader[..14]);
    assert!(path.ends_with(records[4]["environment"].as_str().unwrap()));
}

#[test]
fn no_secret_is_in_the_store_the_lines_or_the_log() {
    let environment = ENVIRONMENT
        .replace(r#""metadata":{}"#, r#""metadata":{"token":"metadata-s3cret"}"#)
        .replace(
            r#""pip":[]"#,
            r#""pip":["git+https://user:url-s3cret@github.com/a/b"]"#,
        );
    let upstream = Upstream::always(Then::respond("200 OK", &[], &environment));
    let mut audited = Audited::start(Setup::new().upstream(upstream.address), Setup::start);
    let body = r#"{"name":"n","metadata":{"token":"metadata-s3cret"}}"#;
    assert_eq!(audited.envgate.post(COLLECTION, body).status, 200);
    assert_eq!(audited.envgate.post("/v1/environments/env_1", body).status, 200);
    audited.envgate.post(
        "/v1/environments/env_1",
        r#"{"metadata":{"token":"metadata-s3cret","a":1}}"#,
    );
    let records = audited.records(3);
    let pip = &records[0]["change"][0]["value"]["config"]["packages"]["pip"][0];
    assert_eq!(pip, "git+https://***@github.com/a/b");
    assert_eq!(
        records[0]["change"][0]["value"]["metadata"],
        json!({"token": "***"})
    );

    audited.stop();
    for file in ["envgate.db", "envgate.db-wal", "audit.jsonl", "log"] {
        // SQLite takes its journal away with the last connection.
        let Ok(bytes) = std::fs::read(audited.directory.join(file)) else {
            assert_eq!(file, "envgate.db-wal");
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        for secret in [
            "metadata-s3cret",
            "url-s3cret",
            OPERATOR_KEY,
            &audited.envgate.key,
        ] {
            assert!(!text.contains(secret), "{secret} is in {file}");
        }
    }
}

#[test]
fn a_flood_of_one_refusal_is_two_records() {
    let mut audited = Audited::start(Setup::new(), Setup::start);
    for _ in 0..300 {
        assert_eq!(audited.envgate.post(EXAMPLE, r#"{"nmae":1}"#).status, 400);
    }
    assert_eq!(audited.records(1)[0]["repeats"], 1, "the first is told at once");
    audited.stop();
    let records = audited.records(2);
    assert_eq!(records[1]["repeats"], 299);
    assert_refused(&records[1], "update", "schema_violation", 400);
}

#[test]
fn a_write_that_got_no_answer_is_recorded_as_unknown() {
    let upstream = Upstream::always(Then::Hang(Duration::from_secs(2)));
    let audited = Audited::start(Setup::new().upstream(upstream.address), |setup| {
        setup.set("ENVGATE_UPSTREAM__TIMEOUT", "300ms").start()
    });
    let response = audited.envgate.request("DELETE", "/v1/environments/env_1").send();
    assert_eq!(response.status, 504);
    let record = &audited.records(1)[0];
    assert_eq!(record["outcome"], "unknown", "{record}");
    assert_eq!(record["error"], "upstream_timeout", "{record}");
    assert_eq!(record["status"], 504, "{record}");
    assert_eq!(record["change"], Value::Null, "{record}");
}

#[test]
fn a_result_that_breaks_the_policy_all_the_same_is_recorded_as_a_breach() {
    let allowed = ENVIRONMENT.replace(
        r#"{"type":"unrestricted"}"#,
        r#"{"type":"limited","allow_mcp_servers":false,"allow_package_managers":false,"allowed_hosts":[]}"#,
    );
    let upstream = Upstream::start(move |_, seen| {
        let is_read = seen.line.starts_with("GET");
        Then::respond("200 OK", &[], if is_read { &allowed } else { ENVIRONMENT })
    });
    let setup = Setup::new()
        .upstream(upstream.address)
        .file("[plans.guarded.policy]\nnetworking = \"limited\"\n");
    let key = setup.tenant("demo", "guarded");
    let audited = Audited::start(setup, |setup| setup.start_for(&key));
    let response = audited.envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#);
    assert_eq!(response.status, 200);
    let record = &audited.records(1)[0];
    assert_eq!(record["outcome"], "policy_breach", "{record}");
    assert_eq!(record["status"], 200, "{record}");
    let change = record["change"].as_array().unwrap();
    let network = json!({"op": "replace", "path": "/config/networking/type", "value": "unrestricted"});
    assert!(change.contains(&network), "{change:?}");
}
