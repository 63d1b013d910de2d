//! The policy of a plan: what an environment may be, judged on the environment that would result.
//!
//! An update leaves out what it does not change, so a request alone says little: it is merged with what is
//! stored, and the judge sees the whole. What the rules of the service itself would refuse is judged all the
//! same, for an upstream may be laxer than the model here. What a rule cannot judge breaks it.

mod apt_pattern;
mod finding;
mod network;
mod packages;
mod stored;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::finding::{FindingPath, Findings};
use self::network::NetworkRules;
use self::packages::PackageRules;
use crate::config;
use crate::contract::Violations;
use crate::environment::{Config, CreateParams, Environment, MergeError, NullMeaning, Scope, UpdateParams};

pub use stored::read_stored;

/// The fields of a body that make an environment. Where a plan lets unknown ones through, no policy looks at
/// those.
const FIELDS: [&str; 5] = ["config", "description", "metadata", "name", "scope"];

/// Why an update is not to be sent.
#[derive(Debug, thiserror::Error)]
pub enum UpdateRejection {
    /// The environment cannot be updated, or not in this way.
    #[error(transparent)]
    Invalid(#[from] MergeError),
    /// What would result breaks the policy.
    #[error("{}", .0.message())]
    Policy(Violations),
}

impl From<Violations> for UpdateRejection {
    fn from(violations: Violations) -> Self {
        Self::Policy(violations)
    }
}

/// The rules of a plan's policy, ready to judge.
#[derive(Clone, Debug)]
pub struct Policy {
    config_types: Option<Vec<&'static str>>,
    scopes: Option<Vec<Scope>>,
    network: NetworkRules,
    packages: PackageRules,
}

impl Policy {
    /// All values of [`Violation::keyword`](crate::contract::Violation::keyword) that a policy gives: each is
    /// the name of the setting whose rule was broken, but for `form`, where an entry of a package list is not
    /// in the form of its manager, and `unknown`, where a policy meets what it does not know.
    pub const KEYWORDS: [&'static str; 12] = [
        "allow",
        "allowed_hosts",
        "config_types",
        "deny",
        "form",
        "hosts",
        "install",
        "mcp_servers",
        "networking",
        "package_managers",
        "scopes",
        "unknown",
    ];

    /// Makes the rules that the settings ask for.
    #[must_use]
    pub fn new(settings: &config::Policy) -> Self {
        Self {
            config_types: settings.config_types.clone(),
            scopes: settings.scopes.clone(),
            network: NetworkRules::new(settings),
            packages: PackageRules::new(&settings.packages),
        }
    }

    /// Judges what a create would give, by its body.
    ///
    /// # Errors
    /// All [`Violations`], each pointing into the resource at the value that breaks a rule.
    pub fn judge_create(&self, body: &Value) -> Result<(), Violations> {
        let params: CreateParams = params(body)?;
        self.judge_parts(&Config::new(params.config.as_ref()), params.scope)
            .into_result()
    }

    /// Judges what an update would give, by its body and what is stored.
    ///
    /// The service does not say whether a null in `config`, or for it or the scope, means the same as nothing
    /// or resets what is stored, so both must hold. Each rule looks at one value alone, and each value is
    /// that of one of two environments: of the one where every null means nothing, or of the one where every
    /// null resets. So these two stand for all.
    ///
    /// # Errors
    /// [`UpdateRejection`]
    pub fn judge_update(&self, stored: &Environment, body: &Value) -> Result<(), UpdateRejection> {
        let params: UpdateParams = params(body)?;
        stored.check_update(&params)?;
        let [omitted, reset] = [NullMeaning::Omitted, NullMeaning::Reset].map(|null| {
            let config = stored.config.merge(&params.config, null);
            (config, stored.merge_scope(params.scope, null))
        });
        let mut findings = self.judge_parts(&omitted.0, omitted.1);
        if reset != omitted {
            findings.add_resets(self.judge_parts(&reset.0, reset.1));
        }
        Ok(findings.into_result()?)
    }

    /// Judges an environment that is there.
    ///
    /// # Errors
    /// As of [`Policy::judge_create`].
    pub fn judge(&self, environment: &Environment) -> Result<(), Violations> {
        self.judge_parts(&environment.config, environment.scope)
            .into_result()
    }

    fn judge_parts(&self, config: &Config, scope: Option<Scope>) -> Findings {
        let mut findings = Findings::default();
        self.judge_type(config, &mut findings);
        if let Config::Cloud(config) = config {
            self.network.judge(&config.networking, &mut findings);
            self.packages.judge(&config.packages, &mut findings);
        }
        self.judge_scope(scope, &mut findings);
        findings
    }

    fn judge_type(&self, config: &Config, findings: &mut Findings) {
        let found = config.type_name();
        let is_allowed = match &self.config_types {
            Some(allowed) => allowed.contains(&found),
            // Rules for networks and packages say nothing of machines that have neither here.
            None => matches!(config, Config::Cloud(_)) || !(self.network.is_any() || self.packages.is_any()),
        };
        if is_allowed {
            return;
        }
        let hint = self
            .config_types
            .as_ref()
            .map(|allowed| finding::choices("the types that it allows", allowed.iter()));
        findings.add(
            FindingPath::ROOT.member("config").member("type"),
            "config_types",
            |path| {
                (
                    format!("{path} is \"{found}\", which the policy of this plan does not allow"),
                    hint,
                )
            },
        );
    }

    fn judge_scope(&self, scope: Option<Scope>, findings: &mut Findings) {
        let Some(allowed) = &self.scopes else {
            return;
        };
        if scope.is_some_and(|scope| allowed.contains(&scope)) {
            return;
        }
        let hint = finding::choices("the scopes that it allows", allowed.iter().map(scope_name));
        findings.add(FindingPath::ROOT.member("scope"), "scopes", |path| {
            let message = match scope {
                Some(scope) => format!(
                    "{path} is \"{}\", which the policy of this plan does not allow",
                    scope_name(&scope)
                ),
                None => format!("{path} is required by the policy of this plan"),
            };
            (message, Some(hint))
        });
    }
}

const fn scope_name(scope: &Scope) -> &'static str {
    match scope {
        Scope::Organization => "organization",
        Scope::Account => "account",
    }
}

/// What a body asks for. It has passed its schema, so this fails only where schema and model disagree.
fn params<T: DeserializeOwned>(body: &Value) -> Result<T, Violations> {
    let fields: Map<String, Value> = body
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| FIELDS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        tracing::error!(%error, "a body passed its schema and is not understood");
        finding::unknown(String::new(), "the request")
    })
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod update_tests;
