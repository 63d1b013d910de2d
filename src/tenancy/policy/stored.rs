use serde::Deserialize;
use serde_json::Value;

use super::finding::{unknown, unknown_at};
use crate::contract::{Violations, quoted};
use crate::environment::{Config, Environment};
use crate::text::escape_pointer_token;

const THE_ENVIRONMENT: &str = "the environment as it is stored";

/// Reads an environment from the upstream's JSON, for a policy to judge.
///
/// The model leaves out what it does not know, and a policy must not: a list of a new package manager, say,
/// would pass unseen. So everything under `config` has to be known. What stands beside `config` is no
/// policy's business and may be anything.
///
/// # Errors
/// [`Violations`] with the keyword `unknown` where there is something that no policy could judge.
pub fn read_stored(body: &[u8]) -> Result<Environment, Violations> {
    let value: Value = serde_json::from_slice(body).map_err(|_| unknown(String::new(), THE_ENVIRONMENT))?;
    let config = value.get("config").unwrap_or(&Value::Null);
    let understood = Config::deserialize(config)
        .ok()
        .and_then(|config| serde_json::to_value(config).ok())
        .ok_or_else(|| unknown("/config".to_owned(), "config as it is stored"))?;
    if let Some(pointer) = surplus(config, &understood) {
        let name = pointer.rsplit('/').next().and_then(quoted);
        let name = name.map_or("a field of config".to_owned(), |name| {
            format!("the field {name} of config")
        });
        // All but the last name is the model's.
        let known = pointer.rsplit_once('/').map_or("", |(known, _)| known);
        return Err(unknown_at(
            format!("/config{pointer}"),
            format!("/config{known}/*"),
            &format!("{name} as it is stored"),
        ));
    }
    Environment::deserialize(&value).map_err(|_| unknown(String::new(), THE_ENVIRONMENT))
}

/// The pointer to a member that `known` does not have.
fn surplus(value: &Value, known: &Value) -> Option<String> {
    let (Value::Object(members), Value::Object(known)) = (value, known) else {
        return None;
    };
    members.iter().find_map(|(name, member)| {
        let step = format!("/{}", escape_pointer_token(name));
        match known.get(name) {
            Some(known) => surplus(member, known).map(|below| step + &below),
            None => Some(step),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(config: &Value) -> Value {
        json!({
            "id": "env_1", "type": "environment", "name": "n", "description": null, "config": config, "metadata": {},
            "archived_at": null, "created_at": "2026-05-29T10:00:00Z", "updated_at": "2026-05-29T10:00:00Z",
            "state": "a field that no document names",
        })
    }

    fn cloud() -> Value {
        json!({
            "type": "cloud",
            "networking": {"type": "limited", "allow_mcp_servers": false, "allow_package_managers": true, "allowed_hosts": []},
            "packages": {"apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": ["pandas"]},
        })
    }

    #[test]
    fn an_environment_is_read_with_whatever_stands_beside_its_config() {
        for config in [cloud(), json!({"type": "self_hosted"})] {
            let environment = read_stored(stored(&config).to_string().as_bytes()).unwrap();
            assert_eq!(environment.config.type_name(), config["type"]);
        }
    }

    #[test]
    fn what_is_not_known_under_config_is_refused() {
        for (pointer, added, told) in [
            ("/config", json!({"gpu": true}), "/config/gpu"),
            (
                "/config/packages",
                json!({"conda": ["x"]}),
                "/config/packages/conda",
            ),
            ("/config/networking", json!({"a/b": 1}), "/config/networking/a~1b"),
            ("/config/networking", json!({"type": "peered"}), "/config"),
            ("/config", json!({"type": "quantum"}), "/config"),
            ("/config", json!({"packages": null}), "/config"),
            ("/config/packages", json!({"pip": [7]}), "/config"),
            ("", json!({"config": null}), "/config"),
            ("", json!({"scope": "galaxy"}), ""),
            ("", json!({"id": "../x"}), ""),
        ] {
            let mut value = stored(&cloud());
            let place = value.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            place.extend(added.as_object().unwrap().clone());
            let violations = read_stored(value.to_string().as_bytes()).unwrap_err();
            assert_eq!(
                (violations.total, violations.told[0].pointer.as_str()),
                (1, told),
                "{added}"
            );
            assert_eq!(violations.told[0].keyword, "unknown");
        }
        assert!(read_stored(b"[]").is_err() && read_stored(b"").is_err());
    }
}
