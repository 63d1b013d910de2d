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
}
