//! An update against a naive model: trees of JSON, and the rules of the documents one by one.

use envgate::environment::{CreateParams, Environment, EnvironmentId, UpdateParams};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::spelling::Speller;

const PACKAGE_MANAGERS: [&str; 6] = ["apt", "cargo", "gem", "go", "npm", "pip"];
const TEXTS: [&str; 4] = ["", "a", "b", "é"];

/// The bytes choose an environment, and then one update after the other.
pub(super) fn check(bytes: &[u8]) {
    let mut choices = Speller::new(bytes);
    let create = params(&mut choices, true);
    let id = EnvironmentId::parse("env_1").unwrap();
    let parsed: CreateParams = serde_json::from_value(create.clone()).unwrap();
    let created = Environment::create(parsed, id, Timestamp::UNIX_EPOCH);
    let model = check_reach(apply(initial(&create), &create));
    let (mut environment, mut model) = match (created, model) {
        (Ok(environment), Ok(model)) => (environment, model),
        (Err(error), Err(code)) => return assert_eq!(error.code(), code, "{create}"),
        (created, model) => panic!("{create}: {created:?}, expected {model:?}"),
    };
    assert_eq!(tree(&environment), model, "{create}");
    while !choices.is_spent() {
        if choices.byte() == 0xff {
            environment = environment.archive(Timestamp::UNIX_EPOCH);
            model["archived_at"] = json!("at some time");
        }
        let update = params(&mut choices, false);
        let parsed: UpdateParams = serde_json::from_value(update.clone()).unwrap();
        match (
            environment.merge(&parsed, Timestamp::UNIX_EPOCH),
            merged(&model, &update),
        ) {
            (Ok(merged), Ok(expected)) => {
                assert_eq!(tree(&merged), expected, "{update} on {model}");
                assert!(merged.updated_at > environment.updated_at);
                (environment, model) = (merged, expected);
            }
            (Err(error), Err(code)) => assert_eq!(error.code(), code, "{update} on {model}"),
            (merged, expected) => panic!("{update} on {model}: {merged:?}, expected {expected:?}"),
        }
    }
}

/// The environment without its times.
fn tree(environment: &Environment) -> Value {
    let mut tree = serde_json::to_value(environment).unwrap();
    let members = tree.as_object_mut().unwrap();
    members.shift_remove("created_at");
    members.shift_remove("updated_at");
    if environment.is_archived() {
        tree["archived_at"] = json!("at some time");
    }
    tree
}

/// What a create begins with.
fn initial(create: &Value) -> Value {
    let config = match create["config"]["type"].as_str() {
        Some("self_hosted") => json!({"type": "self_hosted"}),
        _ => initial_cloud(),
    };
    json!({
        "type": "environment", "id": "env_1", "name": null, "description": null, "metadata": {}, "archived_at": null,
        "config": config,
    })
}

fn initial_cloud() -> Value {
    json!({
        "type": "cloud",
        "networking": {"type": "unrestricted"},
        "packages": {"type": "packages", "apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []},
    })
}

/// The environment after an update, or the code of the error.
fn merged(stored: &Value, update: &Value) -> Result<Value, &'static str> {
    if !stored["archived_at"].is_null() {
        return Err("environment_archived");
    }
    let sent = &update["config"]["type"];
    if !sent.is_null() && *sent != stored["config"]["type"] {
        return Err("invalid_config_type_change");
    }
    check_reach(apply(stored.clone(), update))
}

fn apply(mut environment: Value, sent: &Value) -> Value {
    for name in ["name", "scope"] {
        if !sent[name].is_null() {
            environment[name] = sent[name].clone();
        }
    }
    if let Some(description) = sent.get("description") {
        environment["description"] = description.clone();
    }
    for (key, value) in sent["metadata"].as_object().into_iter().flatten() {
        let metadata = environment["metadata"].as_object_mut().unwrap();
        match value.as_str() {
            None | Some("") => metadata.shift_remove(key),
            Some(_) => metadata.insert(key.clone(), value.clone()),
        };
    }
    let config = &sent["config"];
    let networking = &config["networking"];
    if networking["type"] == "unrestricted" {
        environment["config"]["networking"] = json!({"type": "unrestricted"});
    } else if networking["type"] == "limited" {
        let stored = &mut environment["config"]["networking"];
        if stored["type"] != "limited" {
            *stored = json!({
                "type": "limited", "allow_mcp_servers": false, "allow_package_managers": false, "allowed_hosts": [],
            });
        }
        for name in ["allow_mcp_servers", "allow_package_managers", "allowed_hosts"] {
            if !networking[name].is_null() {
                stored[name] = networking[name].clone();
            }
        }
    }
    for manager in PACKAGE_MANAGERS {
        if !config["packages"][manager].is_null() {
            environment["config"]["packages"][manager] = config["packages"][manager].clone();
        }
    }
    environment
}

fn check_reach(environment: Value) -> Result<Value, &'static str> {
    let config = &environment["config"];
    let is_closed = config["networking"]["allow_package_managers"] == false;
    let has_packages = PACKAGE_MANAGERS.iter().any(|manager| {
        config["packages"][manager]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    });
    if is_closed && has_packages {
        return Err("packages_out_of_reach");
    }
    Ok(environment)
}

/// The body of a create or of an update, each good by its schema.
fn params(choices: &mut Speller<'_>, is_create: bool) -> Value {
    let mut body = Map::new();
    if is_create {
        body.insert("name".to_owned(), text(choices));
    } else {
        maybe(choices, &mut body, "name", true, text);
    }
    maybe(choices, &mut body, "description", true, text);
    maybe(choices, &mut body, "config", true, config);
    maybe(choices, &mut body, "scope", true, |choices| {
        choices.one_of(&["organization", "account"]).into()
    });
    maybe(choices, &mut body, "metadata", false, |choices| {
        let mut metadata = Map::new();
        for _ in 0..choices.index(4) {
            let key = choices.one_of(&TEXTS).to_owned();
            let value = match choices.index(4) {
                0 if !is_create => Value::Null,
                _ => text(choices),
            };
            metadata.insert(key, value);
        }
        metadata.into()
    });
    body.into()
}

fn config(choices: &mut Speller<'_>) -> Value {
    if choices.index(6) == 5 {
        return json!({"type": "self_hosted"});
    }
    let mut config = Map::new();
    config.insert("type".to_owned(), "cloud".into());
    maybe(choices, &mut config, "networking", true, networking);
    maybe(choices, &mut config, "packages", true, |choices| {
        let mut packages = Map::new();
        maybe(choices, &mut packages, "type", true, |_| "packages".into());
        for manager in PACKAGE_MANAGERS {
            maybe(choices, &mut packages, manager, true, list);
        }
        packages.into()
    });
    config.into()
}

fn networking(choices: &mut Speller<'_>) -> Value {
    let mut networking = Map::new();
    if choices.index(3) == 0 {
        networking.insert("type".to_owned(), "unrestricted".into());
        return networking.into();
    }
    networking.insert("type".to_owned(), "limited".into());
    for name in ["allow_mcp_servers", "allow_package_managers"] {
        maybe(choices, &mut networking, name, true, |choices| {
            (choices.index(2) == 1).into()
        });
    }
    maybe(choices, &mut networking, "allowed_hosts", true, list);
    networking.into()
}

fn list(choices: &mut Speller<'_>) -> Value {
    let length = choices.index(3);
    (0..length).map(|_| text(choices)).collect()
}

fn text(choices: &mut Speller<'_>) -> Value {
    choices.one_of(&TEXTS).into()
}

/// A member that may be left out, or null.
fn maybe(
    choices: &mut Speller<'_>,
    object: &mut Map<String, Value>,
    name: &str,
    is_nullable: bool,
    value: impl FnOnce(&mut Speller<'_>) -> Value,
) {
    let value = match choices.index(4) {
        0 => return,
        1 if is_nullable => Value::Null,
        _ => value(choices),
    };
    object.insert(name.to_owned(), value);
}
