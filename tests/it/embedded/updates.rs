//! What an update does, row by row of the contract.

use http::Method;
use serde_json::{Value, json};

use super::client::{Reply, Service, request};

/// A service with one environment that has something in every field, its path and what it is.
async fn furnished() -> (Service, String, Value) {
    let service = Service::start().await;
    let path = service
        .create(&json!({
            "name": "furnished",
            "description": "all of it",
            "metadata": {"team": "a", "tier": "1"},
            "scope": "account",
            "config": {
                "type": "cloud",
                "networking": {
                    "type": "limited",
                    "allow_mcp_servers": true,
                    "allow_package_managers": true,
                    "allowed_hosts": ["a.example.com", "*.example.org"],
                },
                "packages": {"type": "packages", "apt": ["jq"], "pip": ["pandas"]},
            },
        }))
        .await;
    let stored = service.get(&path).await.ok();
    (service, path, stored)
}

/// Updates the furnished environment and expects nothing but `changes` to have happened, given as JSON
/// pointers and values.
async fn expect(params: Value, changes: &[(&str, Value)]) {
    let (service, path, mut expected) = furnished().await;
    let updated = service.post(&path, &params).await.ok();
    for (pointer, value) in changes {
        *expected.pointer_mut(pointer).expect(pointer) = value.clone();
    }
    // Not as text, which may have fewer digits where the last ones are zeros.
    let updated_at = |environment: &Value| -> jiff::Timestamp {
        environment["updated_at"].as_str().unwrap().parse().unwrap()
    };
    assert!(
        updated_at(&updated) > updated_at(&expected),
        "updated_at moves whatever was sent: {updated}"
    );
    expected["updated_at"] = updated["updated_at"].clone();
    assert_eq!(updated, expected, "after {params}");
    assert_eq!(
        service.get(&path).await.ok(),
        updated,
        "what was answered is what is stored"
    );
}

async fn refused(service: &Service, path: &str, params: Value, code: &str) -> Reply {
    let reply = service.post(path, &params).await;
    reply.refused(400, "invalid_request_error");
    assert_eq!(reply.code(), code, "{}", reply.json);
    reply
}

#[tokio::test]
async fn an_empty_update_changes_updated_at_alone() {
    expect(json!({}), &[]).await;
}

#[tokio::test]
async fn what_was_left_out_stays_at_every_depth() {
    expect(json!({"name": "new"}), &[("/name", json!("new"))]).await;
    expect(json!({"config": {"type": "cloud"}}), &[]).await;
    expect(json!({"config": {"type": "cloud", "packages": {}}}), &[]).await;
    expect(
        json!({"config": {"type": "cloud", "packages": {"npm": ["vite"]}}}),
        &[("/config/packages/npm", json!(["vite"]))],
    )
    .await;
    expect(
        json!({"config": {"type": "cloud", "networking": {"type": "limited", "allow_mcp_servers": false}}}),
        &[("/config/networking/allow_mcp_servers", json!(false))],
    )
    .await;
}

#[tokio::test]
async fn an_empty_list_empties_that_list_and_no_other() {
    expect(
        json!({"config": {"type": "cloud", "packages": {"pip": []}}}),
        &[("/config/packages/pip", json!([]))],
    )
    .await;
}

#[tokio::test]
async fn a_null_or_empty_metadata_value_removes_its_key_and_an_empty_map_none() {
    for absent in [json!(null), json!("")] {
        expect(
            json!({"metadata": {"team": absent, "unknown": absent, "new": "x"}}),
            &[("/metadata", json!({"tier": "1", "new": "x"}))],
        )
        .await;
    }
    expect(json!({"metadata": {}}), &[]).await;
}

#[tokio::test]
async fn a_null_description_becomes_null_and_an_empty_one_empty() {
    expect(json!({"description": null}), &[("/description", json!(null))]).await;
    expect(json!({"description": ""}), &[("/description", json!(""))]).await;
}

#[tokio::test]
async fn null_is_left_out_everywhere_else() {
    expect(json!({"name": null, "scope": null, "config": null}), &[]).await;
    expect(
        json!({"config": {"type": "cloud", "networking": null, "packages": null}}),
        &[],
    )
    .await;
    expect(
        json!({"config": {
            "type": "cloud",
            "networking": {
                "type": "limited",
                "allow_mcp_servers": null, "allow_package_managers": null, "allowed_hosts": null,
            },
            "packages": {"apt": null, "cargo": null, "gem": null, "go": null, "npm": null, "pip": null},
        }}),
        &[],
    )
    .await;
}

#[tokio::test]
async fn the_scope_can_change() {
    expect(
        json!({"scope": "organization"}),
        &[("/scope", json!("organization"))],
    )
    .await;
}

#[tokio::test]
async fn unrestricted_forgets_the_limited_fields_and_limited_takes_the_defaults_of_a_create() {
    expect(
        json!({"config": {"type": "cloud", "networking": {"type": "unrestricted"}}}),
        &[("/config/networking", json!({"type": "unrestricted"}))],
    )
    .await;

    let service = Service::start().await;
    let path = service.create(&json!({"name": "open"})).await;
    let update = json!({"config": {"type": "cloud", "networking": {"type": "limited"}}});
    let limited = service.post(&path, &update).await.ok();
    assert_eq!(
        limited["config"]["networking"],
        json!({
            "type": "limited",
            "allow_mcp_servers": false,
            "allow_package_managers": false,
            "allowed_hosts": [],
        })
    );
}

#[tokio::test]
async fn the_config_type_cannot_change() {
    let (service, path, before) = furnished().await;
    let hosted = service
        .create(&json!({"name": "own machines", "config": {"type": "self_hosted"}}))
        .await;
    for (path, sent) in [(&path, "self_hosted"), (&hosted, "cloud")] {
        let params = json!({"name": "new", "config": {"type": sent}});
        refused(&service, path, params, "invalid_config_type_change").await;
    }
    assert_eq!(service.get(&path).await.ok(), before, "nothing of it was done");
    let same = json!({"config": {"type": "self_hosted"}});
    let updated = service.post(&hosted, &same).await.ok();
    assert_eq!(updated["config"], json!({"type": "self_hosted"}));
}

#[tokio::test]
async fn an_archived_environment_is_refused_before_anything_else_is_judged() {
    let (service, path, _) = furnished().await;
    let archive = request(Method::POST, &format!("{path}/archive"), "");
    let archived = service.send(archive).await.ok();
    for params in [
        json!({}),
        json!({"config": {"type": "self_hosted"}}),
        json!({"config": {"type": "cloud", "networking": {"type": "limited", "allow_package_managers": false}}}),
    ] {
        refused(&service, &path, params, "environment_archived").await;
    }
    assert_eq!(service.get(&path).await.ok(), archived);
}

#[tokio::test]
async fn packages_behind_a_closed_network_are_refused_after_the_merge() {
    let (service, path, before) = furnished().await;
    let closed = json!({"type": "limited", "allow_package_managers": false});
    let params = json!({"config": {"type": "cloud", "networking": closed}});
    let reply = refused(&service, &path, params, "packages_out_of_reach").await;
    let message = reply.json["error"]["message"].as_str().unwrap();
    assert!(message.contains("apt, pip"), "the message says which: {message}");
    assert!(
        message.contains("config.networking.allow_package_managers"),
        "and what to do: {message}"
    );
    assert_eq!(service.get(&path).await.ok(), before);

    let emptied = json!({"type": "cloud", "networking": closed, "packages": {"apt": [], "pip": []}});
    service.post(&path, &json!({ "config": emptied })).await.ok();
    let filled = json!({"config": {"type": "cloud", "packages": {"gem": ["rake"]}}});
    refused(&service, &path, filled, "packages_out_of_reach").await;
}
