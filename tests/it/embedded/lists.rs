//! Lists: order, filters, paging.

use serde_json::{Value, json};

use super::client::{COLLECTION, Reply, Service};

fn names(list: &Value) -> Vec<&str> {
    list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|environment| environment["name"].as_str().unwrap())
        .collect()
}

/// A service with environments `0`, `1`, … and their paths, the oldest first.
async fn filled(count: usize) -> (Service, Vec<String>) {
    let service = Service::start().await;
    let mut paths = Vec::new();
    for n in 0..count {
        paths.push(service.create(&json!({"name": n.to_string()})).await);
    }
    (service, paths)
}

async fn list(service: &Service, query: &str) -> Reply {
    service.get(&format!("{COLLECTION}?{query}")).await
}

#[tokio::test]
async fn a_list_has_twenty_environments_newest_first_unless_more_are_asked_for() {
    let (service, _) = filled(22).await;
    let first = service.get(COLLECTION).await.ok();
    assert_eq!(names(&first)[..2], ["21", "20"]);
    assert_eq!(names(&first).len(), 20);
    assert!(first["next_page"].is_string(), "{first}");

    let all = list(&service, "limit=1000").await.ok();
    assert_eq!(names(&all).len(), 22);
    assert_eq!(all["next_page"], Value::Null);
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let service = Service::start().await;
    let empty = service.get(COLLECTION).await.ok();
    assert_eq!(empty, json!({"data": [], "next_page": null}));
}

#[tokio::test]
async fn pages_go_on_where_they_were_though_rows_are_deleted_and_added() {
    let (service, paths) = filled(7).await;
    let first = list(&service, "limit=2").await.ok();
    assert_eq!(names(&first), ["6", "5"]);

    for gone in [&paths[5], &paths[6], &paths[4]] {
        service.delete(gone).await.ok();
    }
    service.create(&json!({"name": "late"})).await;
    let next = first["next_page"].as_str().unwrap();
    let second = list(&service, &format!("limit=2&page={next}&beta=true"))
        .await
        .ok();
    assert_eq!(names(&second), ["3", "2"]);

    let next = second["next_page"].as_str().unwrap();
    let third = list(&service, &format!("limit=2&page={next}")).await.ok();
    assert_eq!(names(&third), ["1", "0"]);
    assert_eq!(third["next_page"], Value::Null, "the last page says so");
}

#[tokio::test]
async fn archived_environments_are_listed_where_they_are_asked_for() {
    let (service, paths) = filled(2).await;
    service
        .post(&format!("{}/archive", paths[0]), &json!({}))
        .await
        .ok();
    for (query, expected) in [
        ("", vec!["1"]),
        ("include_archived=false", vec!["1"]),
        ("include_archived=true", vec!["1", "0"]),
    ] {
        assert_eq!(names(&list(&service, query).await.ok()), expected, "{query}");
    }
}

#[tokio::test]
async fn a_query_that_is_wrong_is_refused_and_one_that_is_unknown_is_not() {
    let (service, _) = filled(1).await;
    for (query, named) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=1", "limit"),
        ("include_archived=1", "include_archived"),
        ("include_archived=true&include_archived=true", "include_archived"),
        ("page=", "page"),
        ("page=2", "page"),
        ("page=env_1&page=env_1", "page"),
    ] {
        let reply = list(&service, query).await;
        let message = reply.refused(400, "invalid_request_error");
        assert!(message.contains(named), "{query}: {message}");
    }
    for query in ["beta=true", "colour=red&colour=blue", "limit=1&", "Limit=0"] {
        assert_eq!(names(&list(&service, query).await.ok()), ["0"], "{query}");
    }
}
