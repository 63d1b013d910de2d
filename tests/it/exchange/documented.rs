//! What the documents show, as they show it.

use super::DOCUMENTED_UPDATE;
use crate::common::EXAMPLE;
use crate::common::client::Request;
use crate::common::envgate::Envgate;
use serde_json::{Value, json};

#[test]
fn the_documented_curl_updates_the_example_environment() {
    let envgate = Envgate::start();
    let response = envgate.post(EXAMPLE, DOCUMENTED_UPDATE);
    let environment = response.json();
    assert_eq!(response.status, 200, "{environment}");
    assert_eq!(
        environment["config"],
        json!({
            "type": "cloud",
            "networking": {
                "type": "limited",
                "allowed_hosts": ["api.example.com"],
                "allow_mcp_servers": false,
                "allow_package_managers": true
            },
            "packages": {
                "type": "packages",
                "apt": [], "cargo": [], "gem": [], "go": [], "npm": [],
                "pip": ["pandas", "numpy", "scikit-learn"]
            }
        }),
        "only the list that was sent has changed"
    );
    assert_eq!(environment["name"], "python-data-analysis");
    assert_eq!(environment["created_at"], "2026-05-29T10:00:00Z");
    assert!(
        environment.get("scope").is_none(),
        "scope is no part of this dialect: {environment}"
    );
    assert!(response.header("request-id").unwrap().starts_with("req_"));
}

#[test]
fn the_printed_curl_works_as_it_is_printed() {
    let envgate = Envgate::start();
    let start = envgate.said.find("curl").expect("a curl is printed");
    let script = format!(
        "{} --silent --show-error --fail-with-body",
        envgate.said[start..].trim_end()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let environment: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        environment["config"]["packages"]["pip"],
        json!(["pandas", "numpy", "scikit-learn"])
    );
}

#[test]
fn all_six_operations_work_with_either_credential_header() {
    let envgate = Envgate::start();
    let with_api_key = |method: &str, path: &str| {
        Request::new(envgate.gateway, method, path).header("x-api-key", &envgate.key)
    };
    let created = with_api_key("POST", "/v1/environments")
        .body(r#"{"name":"one"}"#)
        .send();
    assert_eq!(created.status, 200, "{}", created.text());
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/environments/{id}");

    assert_eq!(envgate.get(&path).json(), created.json());
    let updated = envgate.post(&path, r#"{"description":"two"}"#).json();
    assert_eq!(updated["description"], "two");
    let listed = envgate.get("/v1/environments?limit=1").json();
    assert_eq!(listed["data"][0]["id"], id.as_str(), "the newest comes first");
    let archived = with_api_key("POST", &format!("{path}/archive")).send().json();
    assert!(archived["archived_at"].is_string(), "{archived}");
    let deleted = envgate.request("DELETE", &path).send();
    assert_eq!(deleted.json(), json!({"id": id, "type": "environment_deleted"}));
    envgate.get(&path).expect_error(404, "not_found");
}

#[test]
fn lists_page_through_everything_once() {
    let envgate = Envgate::start();
    for number in 0..5 {
        assert_eq!(
            envgate
                .post("/v1/environments", &format!(r#"{{"name":"env {number}"}}"#))
                .status,
            200
        );
    }
    let mut names = Vec::new();
    let mut page = String::new();
    loop {
        let listed = envgate.get(&format!("/v1/environments?limit=2{page}")).json();
        names.extend(
            listed["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = listed["next_page"].as_str() else {
            break;
        };
        page = format!("&page={next}");
    }
    assert_eq!(
        names,
        [
            "env 4",
            "env 3",
            "env 2",
            "env 1",
            "env 0",
            "python-data-analysis"
        ]
    );
}

#[test]
fn two_updates_at_once_are_both_there_afterwards() {
    let envgate = Envgate::start();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let envgate = &envgate;
            scope.spawn(move || {
                let body = format!(r#"{{"metadata":{{"k{number}":"v"}}}}"#);
                assert_eq!(envgate.post(EXAMPLE, &body).status, 200);
            });
        }
    });
    let metadata = envgate.get(EXAMPLE).json()["metadata"].clone();
    assert_eq!(metadata.as_object().unwrap().len(), 16, "{metadata}");
}
