//! From what was found to schemas that are laid over: patches to review.

use serde_json::{Value, json};

use super::{PATH, changed, findings, native, of_changed, replies, upstream};
use crate::common::envgate::{Envgate, eventually};
use crate::common::upstream::{Then, Upstream};
use crate::reload::APPLIED;

const FILE: &str = "anthropic/environment.reply.patch.json";

fn has_new(envgate: &Envgate) -> bool {
    envgate.run(&["drift"]).status.code() == Some(1)
}

#[test]
fn what_was_found_becomes_a_patch_and_with_that_laid_over_there_is_nothing_to_find() {
    let upstream = upstream(|_| changed());
    let setup = native(&upstream).file("contract.schemas = \"schemas\"\n");
    std::fs::create_dir(setup.path().join("schemas")).unwrap();
    let envgate = setup.start();
    assert_eq!(envgate.post(PATH, "{}").text(), changed());
    eventually("the store has it", || has_new(&envgate));

    let shown: Value = serde_json::from_str(&envgate.run_well(&["drift", "--patch"])).unwrap();
    let operations = shown[FILE].as_array().unwrap();
    assert_eq!(operations.len(), 4, "{shown}");
    assert!(
        operations.contains(&json!({"op": "add", "path": "/properties/state", "value": {"type": "string"}})),
        "{shown}"
    );
    assert!(!shown.to_string().contains("planted"), "{shown}");
    let said = envgate.run_well(&["drift", "--patch", "--output", "schemas"]);
    assert_eq!(said, format!("schemas/{FILE}"));
    envgate.run_well(&["check"]);
    envgate.signal("HUP");
    eventually("it was read", || envgate.metric(APPLIED) >= 1.0);

    let before = replies(&envgate);
    for count in 1..=3 {
        assert_eq!(envgate.post(PATH, "{}").text(), changed());
        eventually("it was measured", || {
            replies(&envgate) >= before + f64::from(count)
        });
    }
    assert_eq!(findings(&envgate), of_changed(1), "none was seen again");
    assert_eq!(
        envgate.run_well(&["drift", "--patch"]),
        "{}",
        "all of it is there"
    );
}

#[test]
fn a_file_that_is_not_laid_over_is_left_alone() {
    let upstream = upstream(|_| changed());
    let envgate = native(&upstream).start();
    envgate.post(PATH, "{}");
    eventually("the store has it", || has_new(&envgate));
    let elsewhere = envgate.path().join("elsewhere");
    envgate.run_well(&["drift", "--patch", "--output", "elsewhere"]);
    std::fs::write(elsewhere.join(FILE), "mine").unwrap();
    let refused = envgate.run(&["drift", "--patch", "--output", "elsewhere"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("is there, and is not laid over the schemas"),
        "{said}"
    );
    assert_eq!(std::fs::read_to_string(elsewhere.join(FILE)).unwrap(), "mine");
    let nowhere = envgate.run(&["drift", "--patch", "--output", "envgate.db/x"]);
    assert_eq!(nowhere.status.code(), Some(2));
}

#[test]
fn what_only_the_upstream_refuses_is_a_finding_by_its_place_and_for_somebody_to_settle() {
    let error = r#"{"type":"error","error":{"type":"invalid_request_error","message":"config.networking.allowed_hosts[0]: planted.example.com is reserved"}}"#;
    let upstream = Upstream::always(Then::respond("400 Bad Request", &[], error));
    let envgate = native(&upstream).start();
    let body = r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["planted.example.com"]}}}"#;
    for _ in 0..2 {
        assert_eq!(envgate.post(PATH, body).status, 400);
    }
    let place = "/config/networking/allowed_hosts/*";
    let expected = ("refused_upstream".to_owned(), place.to_owned(), Value::Null, 2);
    eventually("the store has it", || findings(&envgate).contains(&expected));
    eventually("it is new", || has_new(&envgate));
    let table = envgate.run(&["drift"]).stdout;
    let table = String::from_utf8(table).unwrap();
    assert!(
        table.contains("update request") && table.contains(&format!("the upstream refuses {place}")),
        "{table}"
    );
    let patch = envgate.run(&["drift", "--patch"]);
    assert_eq!(String::from_utf8(patch.stdout).unwrap().trim(), "{}");
    let said = String::from_utf8(patch.stderr).unwrap();
    assert!(said.contains("for somebody to find out"), "{said}");
}
