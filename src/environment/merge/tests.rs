use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;

const CREATED: Timestamp = Timestamp::constant(1_780_048_800, 0);

fn create(params: Value) -> Result<Environment, MergeError> {
    let id = EnvironmentId::parse("env_1").unwrap();
    Environment::create(serde_json::from_value(params).unwrap(), id, CREATED)
}

fn update(stored: &Environment, params: Value) -> Result<Environment, MergeError> {
    let later = CREATED + SignedDuration::from_secs(60);
    stored.merge(&serde_json::from_value(params).unwrap(), later)
}

/// A cloud environment with a limited network and something in every field.
fn furnished() -> Environment {
    create(json!({
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
                "allowed_hosts": ["a.example"],
            },
            "packages": {"apt": ["jq"], "pip": ["pandas"]},
        },
    }))
    .unwrap()
}

/// What an update makes of `config`, as JSON.
fn config_after(stored: &Environment, config: Value) -> Value {
    let updated = update(stored, json!({ "config": config })).unwrap();
    serde_json::to_value(updated.config).unwrap()
}

#[test]
fn create_without_config_gives_cloud_unrestricted_and_six_empty_lists() {
    for params in [json!({"name": "n"}), json!({"name": "n", "config": null})] {
        let environment = serde_json::to_value(create(params).unwrap()).unwrap();
        assert_eq!(
            environment,
            json!({
                "id": "env_1",
                "type": "environment",
                "name": "n",
                "description": null,
                "config": {
                    "type": "cloud",
                    "networking": {"type": "unrestricted"},
                    "packages": {
                        "type": "packages",
                        "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": [],
                    },
                },
                "metadata": {},
                "created_at": "2026-05-29T10:00:00Z",
                "updated_at": "2026-05-29T10:00:00Z",
                "archived_at": null,
            }),
            "a scope that nobody named is left out"
        );
    }
}

#[test]
fn create_drops_metadata_with_an_empty_value() {
    let environment = create(json!({"name": "n", "metadata": {"kept": "1", "dropped": ""}})).unwrap();
    assert_eq!(environment.metadata.keys().collect::<Vec<_>>(), ["kept"]);
}

#[test]
fn an_environment_survives_its_own_json() {
    for environment in [
        furnished(),
        create(json!({"name": "n", "config": {"type": "self_hosted"}})).unwrap(),
        furnished().archive(CREATED),
    ] {
        let text = serde_json::to_string(&environment).unwrap();
        assert_eq!(
            serde_json::from_str::<Environment>(&text).unwrap(),
            environment,
            "{text}"
        );
    }
}

#[test]
fn update_keeps_lists_that_were_not_sent() {
    let config = config_after(
        &furnished(),
        json!({"type": "cloud", "packages": {"npm": ["vite"]}}),
    );
    assert_eq!(
        config["packages"],
        json!({
            "type": "packages",
            "apt": ["jq"], "cargo": [], "gem": [], "go": [], "npm": ["vite"], "pip": ["pandas"],
        })
    );
}

#[test]
fn an_empty_list_empties_its_own_list_alone() {
    let config = config_after(&furnished(), json!({"type": "cloud", "packages": {"pip": []}}));
    assert_eq!(config["packages"]["pip"], json!([]));
    assert_eq!(config["packages"]["apt"], json!(["jq"]));
}

#[test]
fn a_config_with_nothing_but_its_type_changes_nothing() {
    let stored = furnished();
    let updated = update(&stored, json!({"config": {"type": "cloud"}})).unwrap();
    assert_eq!(updated.config, stored.config);
}

#[test]
fn metadata_that_is_null_or_empty_takes_its_key_away() {
    for absent in [json!(null), json!("")] {
        let updated = update(&furnished(), json!({"metadata": {"team": absent, "new": "x"}})).unwrap();
        assert_eq!(
            serde_json::to_value(updated.metadata).unwrap(),
            json!({"tier": "1", "new": "x"}),
            "the key sent as {absent} is gone, the other stays"
        );
    }
}

#[test]
fn an_empty_metadata_map_changes_nothing() {
    let stored = furnished();
    let updated = update(&stored, json!({"metadata": {}})).unwrap();
    assert_eq!(updated.metadata, stored.metadata);
}

#[test]
fn a_null_description_is_none_and_an_empty_one_is_empty() {
    let stored = furnished();
    let described = |params| update(&stored, params).unwrap().description;
    assert_eq!(described(json!({"description": null})), None);
    assert_eq!(described(json!({"description": ""})), Some(String::new()));
    assert_eq!(described(json!({})), Some("all of it".to_owned()));
}

#[test]
fn null_means_left_out_wherever_else_it_is_sent() {
    let stored = furnished();
    for params in [
        json!({"name": null, "scope": null, "config": null}),
        json!({"config": {"type": "cloud", "networking": null, "packages": null}}),
        json!({"config": {"type": "cloud", "packages": {
            "type": null, "apt": null, "cargo": null, "gem": null, "go": null, "npm": null, "pip": null,
        }}}),
        json!({"config": {"type": "cloud", "networking": {
            "type": "limited",
            "allow_mcp_servers": null, "allow_package_managers": null, "allowed_hosts": null,
        }}}),
    ] {
        let updated = update(&stored, params.clone()).unwrap();
        let expected = Environment {
            updated_at: updated.updated_at,
            ..stored.clone()
        };
        assert_eq!(updated, expected, "{params}");
    }
}

#[test]
fn a_limited_network_keeps_what_was_not_sent() {
    let config = config_after(
        &furnished(),
        json!({"type": "cloud", "networking": {"type": "limited", "allow_mcp_servers": false}}),
    );
    assert_eq!(
        config["networking"],
        json!({
            "type": "limited",
            "allow_mcp_servers": false,
            "allow_package_managers": true,
            "allowed_hosts": ["a.example"],
        })
    );
}

#[test]
fn an_unrestricted_network_forgets_the_limited_fields() {
    let open = update(
        &furnished(),
        json!({"config": {"type": "cloud", "networking": {"type": "unrestricted"}, "packages": {"apt": [], "pip": []}}}),
    )
    .unwrap();
    let again = config_after(&open, json!({"type": "cloud", "networking": {"type": "limited"}}));
    assert_eq!(
        again["networking"],
        json!({
            "type": "limited",
            "allow_mcp_servers": false,
            "allow_package_managers": false,
            "allowed_hosts": [],
        }),
        "limited again takes the defaults of a create"
    );
}

#[test]
fn the_config_type_cannot_change() {
    let hosted = create(json!({"name": "n", "config": {"type": "self_hosted"}})).unwrap();
    for (stored, sent) in [(furnished(), "self_hosted"), (hosted, "cloud")] {
        let error = update(&stored, json!({"config": {"type": sent}})).unwrap_err();
        assert_eq!(error.code(), "invalid_config_type_change");
        assert!(
            error.to_string().contains(stored.config.type_name()),
            "the message names what is stored: {error}"
        );
    }
}

#[test]
fn an_archived_environment_cannot_change_whatever_else_is_wrong() {
    let archived = furnished().archive(CREATED);
    for params in [json!({}), json!({"config": {"type": "self_hosted"}})] {
        let error = update(&archived, params).unwrap_err();
        assert_eq!(error, MergeError::Archived);
        assert_eq!(error.code(), "environment_archived");
    }
}

#[test]
fn archive_can_be_repeated_and_changes_nothing_then() {
    let stored = furnished();
    let archived = stored.archive(CREATED);
    assert_eq!(archived.archived_at, Some(archived.updated_at));
    assert!(archived.updated_at > stored.updated_at, "an archive is a change");
    assert_eq!(archived.archive(CREATED + SignedDuration::from_secs(9)), archived);
}

#[test]
fn packages_need_registries_that_the_network_reaches() {
    let limited = json!({"type": "limited"});
    let error = create(json!({
        "name": "n",
        "config": {"type": "cloud", "networking": limited, "packages": {"go": ["x"], "apt": ["jq"]}},
    }))
    .unwrap_err();
    assert_eq!(error.code(), "packages_out_of_reach");
    assert!(error.to_string().contains("apt, go"), "{error}");
}

#[test]
fn packages_are_judged_after_the_merge() {
    let closed = json!({"type": "limited", "allow_package_managers": false});
    let error = update(
        &furnished(),
        json!({"config": {"type": "cloud", "networking": closed}}),
    )
    .unwrap_err();
    assert_eq!(error.code(), "packages_out_of_reach", "the stored lists count");

    let emptied = json!({"type": "cloud", "networking": closed, "packages": {"apt": [], "pip": []}});
    assert!(
        update(&furnished(), json!({ "config": emptied })).is_ok(),
        "lists that the same update empties do not"
    );
}

#[test]
fn updated_at_grows_by_a_microsecond_when_the_clock_stands_still_or_goes_back() {
    let stored = furnished();
    for now in [CREATED, CREATED - SignedDuration::from_secs(5)] {
        let updated = stored.merge(&UpdateParams::default(), now).unwrap();
        assert_eq!(
            updated.updated_at,
            stored.updated_at + SignedDuration::from_micros(1)
        );
    }
}

#[test]
fn timestamps_have_no_more_than_microseconds() {
    let now = CREATED + SignedDuration::from_nanos(1_999);
    let updated = furnished().merge(&UpdateParams::default(), now).unwrap();
    assert_eq!(updated.updated_at.to_string(), "2026-05-29T10:00:00.000001Z");
}
