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

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::finding::{FindingPath, Findings};
use self::network::NetworkRules;
use self::packages::PackageRules;
use crate::config;
use crate::contract::{Dialect, Operation, Strictness, Violations};
use crate::environment::{
    Config, ConfigParams, Environment, MergeError, NullMeaning, Scope, Sent, UpdateParams,
};

pub use stored::read_stored;

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

    /// Whether this release knows all that a policy judges, whatever schemas the body has passed. It cannot say of
    /// what it does not know that it is allowed.
    ///
    /// # Errors
    /// [`Violations`] with the keyword `unknown`, each pointing into the body.
    pub fn check_known(body: &Value) -> Result<(), Violations> {
        let judged: Map<String, Value> = ["config", "scope"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), body.get(name)?.clone())))
            .collect();
        // The one that knows every field; an update has none that has to be there.
        let known =
            Dialect::ANTHROPIC.validate(Operation::Update, &Value::Object(judged), Strictness::default());
        known.map(drop).map_err(finding::unknown_each)
    }

    /// Judges what a create would give, by its body.
    ///
    /// # Errors
    /// All [`Violations`], each pointing into the resource at the value that breaks a rule.
    pub fn judge_create(&self, body: &Value) -> Result<(), Violations> {
        let JudgedParams { config, scope } = JudgedParams::read(body)?;
        let config = Config::default().merge(&config, NullMeaning::Reset);
        let scope = match scope {
            Sent::Value(scope) => Some(scope),
            Sent::Omitted | Sent::Null => None,
        };
        self.judge_parts(&config, scope).into_result()
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
        let JudgedParams { config, scope } = JudgedParams::read(body)?;
        let params = UpdateParams {
            config,
            scope,
            ..UpdateParams::default()
        };
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

/// What a body asks for, as far as a policy judges it.
struct JudgedParams {
    config: Sent<ConfigParams>,
    scope: Sent<Scope>,
}

impl JudgedParams {
    /// Reads it of a body that passed its schema and [`Policy::check_known`], so this fails only where schema and
    /// model disagree. What stands beside it is no policy's business.
    fn read(body: &Value) -> Result<Self, Violations> {
        Ok(Self {
            config: member(body, "config")?,
            scope: member(body, "scope")?,
        })
    }
}

fn member<T: DeserializeOwned>(body: &Value, name: &str) -> Result<Sent<T>, Violations> {
    let Some(value) = body.get(name) else {
        return Ok(Sent::Omitted);
    };
    Sent::deserialize(value).map_err(|_| {
        tracing::error!(member = name, "a body passed its schema and is not understood");
        finding::unknown(format!("/{name}"), name)
    })
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod update_tests;
