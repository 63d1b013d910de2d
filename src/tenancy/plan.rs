use std::sync::Arc;

use http::HeaderValue;
use serde_json::Value;

use super::client_certificate::ClientCertificate;
use super::policy::Policy;
use crate::config;
use crate::contract::{
    ApiError, BetaRules, BodyStrictness, Dialect, Operation, RequestQuery, Schemas, Strictness, Violations,
    Warnings,
};

/// What the tenants of a plan may do, and how they are served.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The dialect that they speak.
    pub dialect: &'static Dialect,
    /// The value of `anthropic-workspace-id`; none where the upstream decides.
    pub workspace_id: Option<HeaderValue>,
    /// What betas their requests have.
    pub betas: BetaRules,
    /// What their environments may be; none where nothing is asked.
    pub policy: Option<Policy>,
    /// Whether answers tell how long each step took.
    pub tells_timing: bool,
    name: String,
    client_subject: Option<String>,
    may_force_delete: bool,
    operations: Vec<Operation>,
    schemas: Arc<Schemas>,
    strictness: BodyStrictness,
}

impl Plan {
    /// Makes the plan that the settings describe under `name`.
    #[must_use]
    pub fn new(name: &str, settings: &config::Plan) -> Self {
        Self {
            dialect: settings.dialect,
            workspace_id: settings.workspace_id.clone(),
            betas: settings.betas.clone(),
            policy: settings.policy.as_ref().map(Policy::new),
            tells_timing: settings.tells_timing,
            name: name.to_owned(),
            client_subject: settings.client_subject.clone(),
            may_force_delete: settings.may_force_delete,
            operations: settings.operations.clone(),
            schemas: Arc::clone(&settings.schemas),
            strictness: match settings.policy {
                Some(_) => BodyStrictness {
                    config: Strictness::default(),
                    rest: settings.strictness,
                },
                None => settings.strictness.into(),
            },
        }
    }

    /// Whether a client may use the plan that has shown this certificate, or none.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`], which says what the plan misses and not whom it expects.
    pub fn admits(&self, certificate: Option<&ClientCertificate>) -> Result<(), ApiError> {
        let Some(wanted) = &self.client_subject else {
            return Ok(());
        };
        let name = &self.name;
        Err(ApiError::Forbidden(match certificate {
            Some(certificate) if certificate.says(wanted) => return Ok(()),
            Some(certificate) => format!(
                "the plan {name} is for clients with another certificate; the subject of this one is {:?}",
                certificate.subject
            ),
            None => {
                format!("the plan {name} is for clients that show a certificate, and this one has shown none")
            }
        }))
    }

    /// Whether tenants of the plan may do something.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`], which names the operation, the plan and what it does have.
    pub fn may(&self, operation: Operation) -> Result<(), ApiError> {
        if self.operations.contains(&operation) {
            return Ok(());
        }
        let names: Vec<_> = self.operations.iter().map(|operation| operation.name()).collect();
        let allowed = if names.is_empty() {
            "no operation".to_owned()
        } else {
            names.join(", ")
        };
        Err(ApiError::Forbidden(format!(
            "the plan {} does not allow {}; it allows {allowed}",
            self.name,
            operation.name()
        )))
    }

    /// Whether tenants of the plan may ask for something in this way.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`], which names the parameter and the plan.
    pub fn may_ask(&self, query: &RequestQuery) -> Result<(), ApiError> {
        if !query.is_forced || self.may_force_delete {
            return Ok(());
        }
        Err(ApiError::Forbidden(format!(
            "the plan {} does not allow force=true; a delete without it is refused while the environment is in use",
            self.name
        )))
    }

    /// Checks the body of a create or an update in the plan's dialect, as strictly as the plan says. Under
    /// `config` nothing is relaxed where there is a policy: it could not judge what it does not know.
    ///
    /// # Errors
    /// All [`Violations`] of rules that are not relaxed.
    pub fn validate(&self, operation: Operation, body: &Value) -> Result<Warnings, Violations> {
        self.dialect
            .validate_by(&self.schemas, operation, body, self.strictness)
    }

    /// The place of a body that a message of the upstream names, as
    /// [`Dialect::place_in_message`] finds it by the schemas of the plan.
    #[must_use]
    pub fn place_in_message(&self, operation: Operation, message: &str) -> String {
        self.dialect.place_in_message(&self.schemas, operation, message)
    }

    /// Whether a policy, if there is one, can judge a body that passed the schemas: those may be laid over with
    /// others, which know more than it.
    ///
    /// # Errors
    /// [`Violations`] with the keyword `unknown`, each pointing at what this release does not know.
    pub fn check_known(&self, body: &Value) -> Result<(), Violations> {
        match &self.policy {
            Some(_) if !self.schemas.is_built_in() => Policy::check_known(body),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Source, load};

    fn plan(text: &str) -> Plan {
        let text = format!("[plans.gold]\n{text}");
        let settings = load(&Source::new("envgate.toml", text, [])).unwrap();
        Plan::new("gold", &settings.plans["gold"])
    }

    #[test]
    fn an_operation_outside_the_plan_is_named_with_the_plan_and_what_it_has() {
        let reader = plan("operations = [\"list\", \"retrieve\"]");
        assert!(reader.may(Operation::List).is_ok());
        let error = reader.may(Operation::Delete).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the plan gold does not allow delete; it allows list, retrieve"
        );
        assert_eq!(
            plan("operations = []")
                .may(Operation::List)
                .unwrap_err()
                .to_string(),
            "the plan gold does not allow list; it allows no operation"
        );
    }

    #[test]
    fn a_plan_without_a_subject_takes_clients_without_a_certificate() {
        assert!(plan("").admits(None).is_ok());
    }

    #[test]
    fn under_a_policy_nothing_is_relaxed_in_config() {
        let relaxed = "unknown_field = \"allow\"\nhost_format = \"warn\"\n";
        let free = plan(relaxed);
        let guarded = plan(&format!("{relaxed}[plans.gold.policy]"));
        let unknown = json!({"config": {"type": "cloud", "packages": {"conda": ["x"]}}});
        let odd_host =
            json!({"config": {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a:1"]}}});
        for body in [&unknown, &odd_host] {
            assert!(free.validate(Operation::Update, body).is_ok());
            let violations = guarded.validate(Operation::Update, body).unwrap_err();
            assert!(
                violations.told[0].pointer.starts_with("/config/"),
                "{violations:?}"
            );
        }
        let beside = json!({"name": "n", "colour": "blue", "config": {"type": "cloud"}});
        assert!(guarded.validate(Operation::Create, &beside).is_ok());
    }

    #[test]
    fn under_a_policy_what_this_release_does_not_know_is_unknown_whatever_is_laid_over() {
        let directory = tempfile::tempdir().unwrap();
        let patch = json!([
            {"op": "add", "path": "/$defs/cloud/properties/gpu", "value": true},
            {"op": "add", "path": "/$defs/networking/properties/type/enum/-", "value": "peered"},
            {"op": "add", "path": "/$defs/packages/properties/conda", "value": {"$ref": "#/$defs/package_list"}},
            {"op": "add", "path": "/$defs/config/properties/type/enum/-", "value": "quantum"},
            {"op": "remove", "path": "/$defs/host/pattern"},
            {"op": "add", "path": "/$defs/scope/enum/-", "value": "galaxy"},
            {"op": "replace", "path": "/$defs/name/maxLength", "value": 500},
        ]);
        std::fs::write(directory.path().join("environment.patch.json"), patch.to_string()).unwrap();
        let path = directory.path();
        let plan = |policy: &str| {
            let text =
                format!("[contract]\ndialect = \"anthropic\"\nschemas = {path:?}\n[plans.gold]\n{policy}");
            let settings = load(&Source::new("envgate.toml", text, [])).unwrap();
            Plan::new("gold", &settings.plans["gold"])
        };
        let (free, guarded) = (plan(""), plan("[plans.gold.policy]"));
        let cloud = |name: &str, value: Value| json!({"name": "n", "config": {"type": "cloud", name: value}});
        for (body, pointers) in [
            (cloud("gpu", json!(1)), &["/config/gpu"][..]),
            (
                cloud("networking", json!({"type": "peered"})),
                &["/config/networking/type"],
            ),
            (
                cloud("packages", json!({"conda": ["x"]})),
                &["/config/packages/conda"],
            ),
            (
                json!({"name": "n", "config": {"type": "quantum"}}),
                &["/config/type"],
            ),
            (
                cloud(
                    "networking",
                    json!({"type": "limited", "allowed_hosts": ["a.com", "a:1"]}),
                ),
                &["/config/networking/allowed_hosts/1"],
            ),
            (
                json!({"name": "n", "scope": "galaxy", "config": {"type": "cloud", "gpu": null}}),
                &["/config/gpu", "/scope"],
            ),
        ] {
            for operation in [Operation::Create, Operation::Update] {
                assert!(free.validate(operation, &body).is_ok(), "{body}");
                assert!(guarded.validate(operation, &body).is_ok(), "{body}");
            }
            assert!(free.check_known(&body).is_ok());
            let violations = guarded.check_known(&body).unwrap_err();
            let told: Vec<_> = violations.told.iter().map(|one| one.pointer.as_str()).collect();
            assert_eq!(told, pointers, "{body}");
            assert!(violations.told.iter().all(|one| one.keyword == "unknown"));
        }
        let beside = json!({"name": "n".repeat(400), "config": {"type": "cloud"}, "metadata": {"a": "b"}});
        assert!(guarded.validate(Operation::Create, &beside).is_ok());
        assert!(guarded.check_known(&beside).is_ok(), "no policy's business");
    }
}
