//! The six operations, and what outlives them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use serde_json::json;
use sqlx::{AnyConnection, Connection, Executor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{COLLECTION, Service, request};

const EXAMPLE: &str = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW";

#[tokio::test]
async fn an_environment_is_created_read_changed_archived_and_deleted() {
    let service = Service::start().await;
    let created = service.post(COLLECTION, &json!({"name": "first"})).await.ok();
    let id = created["id"].as_str().unwrap();
    assert!(id.starts_with("env_01") && id.len() == 28, "{id}");
    let path = format!("{COLLECTION}/{id}");
    assert_eq!(service.get(&path).await.ok(), created);

    let changed = service.post(&path, &json!({"name": "second"})).await.ok();
    assert_eq!(changed["name"], "second");
    assert_eq!(service.get(&path).await.ok(), changed);

    let archived = service
        .send(request(Method::POST, &format!("{path}/archive"), ""))
        .await
        .ok();
    assert!(archived["archived_at"].is_string(), "{archived}");
    let again = service.post(&format!("{path}/archive"), &json!({})).await.ok();
    assert_eq!(again, archived, "archive can be repeated");
    assert_eq!(service.get(&path).await.ok(), archived, "and can be read");

    let deleted = service.delete(&path).await.ok();
    assert_eq!(deleted, json!({"id": id, "type": "environment_deleted"}));
    for reply in [
        service.get(&path).await,
        service.delete(&path).await,
        service.post(&path, &json!({})).await,
        service.post(&format!("{path}/archive"), &json!({})).await,
    ] {
        reply.refused(404, "not_found_error");
    }
}

#[tokio::test]
async fn the_example_of_the_documents_is_there_once_and_keeps_what_was_done_to_it() {
    let service = Service::start().await;
    envgate::embedded::seed_example(&service.store, BTreeMap::new())
        .await
        .unwrap();
    assert_eq!(
        service.get(EXAMPLE).await.ok(),
        json!({
            "id": "env_011CZkZ9X2dpNyB7HsEFoRfW",
            "archived_at": null,
            "config": {
                "networking": {
                    "allow_mcp_servers": false,
                    "allow_package_managers": true,
                    "allowed_hosts": ["api.example.com"],
                    "type": "limited",
                },
                "packages": {
                    "apt": [], "cargo": [], "gem": [], "go": [], "npm": [],
                    "pip": ["pandas", "numpy"],
                    "type": "packages",
                },
                "type": "cloud",
            },
            "created_at": "2026-05-29T10:00:00Z",
            "description": "Python environment with data-analysis packages.",
            "metadata": {},
            "name": "python-data-analysis",
            "type": "environment",
            "updated_at": "2026-05-29T10:00:00Z",
            "scope": "organization",
        })
    );

    let pip = json!({"type": "packages", "pip": ["pandas", "numpy", "scikit-learn"]});
    let update = json!({"config": {"type": "cloud", "packages": pip}});
    let updated = service.post(EXAMPLE, &update).await.ok();
    assert_eq!(
        updated["config"]["packages"]["pip"],
        json!(["pandas", "numpy", "scikit-learn"])
    );
    envgate::embedded::seed_example(&service.store, BTreeMap::new())
        .await
        .unwrap();
    assert_eq!(service.get(EXAMPLE).await.ok(), updated);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_updates_at_once_all_are_there_afterwards() {
    let service = &Service::start().await;
    let path = &service.create(&json!({"name": "n"})).await;
    let updates = (0..30).map(|n| async move {
        let name = format!("key{n}");
        service
            .post(path, &json!({"metadata": {name: "written"}}))
            .await
            .ok()
    });
    let answers = futures_util::future::join_all(updates).await;
    let times: BTreeSet<_> = answers
        .iter()
        .map(|answer| answer["updated_at"].as_str().unwrap())
        .collect();
    assert_eq!(times.len(), 30, "no two writes have one updated_at");
    let stored = service.get(path).await.ok();
    assert_eq!(stored["metadata"].as_object().unwrap().len(), 30, "{stored}");
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let service = Service::start().await;
    let mut seen = BTreeSet::new();
    for path in [COLLECTION, COLLECTION, "/nowhere"] {
        let reply = service.get(path).await;
        let id = reply.headers["request-id"].to_str().unwrap().to_owned();
        let suffix = id.strip_prefix("req_01").expect("the prefix of a request id");
        assert_eq!(suffix.len(), 22, "{id}");
        assert_eq!(reply.headers["content-type"], "application/json");
        seen.insert(id);
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_of_the_service_that_tells_nothing_of_it() {
    let service = Service::start().await;
    let path = service.create(&json!({"name": "n"})).await;
    let url = format!("sqlite:{}", service.directory.path().join("envgate.db").display());
    let mut vandal = AnyConnection::connect(&url).await.unwrap();
    vandal.execute("DROP TABLE environments").await.unwrap();
    let reply = service.get(&path).await;
    let message = reply.refused(500, "api_error");
    assert!(!message.contains("table"), "{message}");
}

#[tokio::test]
async fn the_service_stops_when_it_is_told_though_a_connection_is_kept() {
    let service = Service::start().await;
    let mut idle = TcpStream::connect(service.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_ne!(
        idle.read(&mut [0; 1024]).await.unwrap(),
        0,
        "the connection is in use"
    );

    let stopped = tokio::time::timeout(Duration::from_secs(5), service.stop()).await;
    assert!(stopped.is_ok(), "an idle connection holds nobody up");
}
