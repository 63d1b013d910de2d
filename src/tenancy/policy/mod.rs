//! The policy of a plan: what an environment may be, judged on the environment that would result.
//!
//! An update leaves out what it does not change, so a request alone says little: the caller merges it with what is
//! stored, and the judge sees the whole. What a rule cannot judge breaks it.

mod apt_pattern;
mod finding;
mod network;
mod packages;
mod stored;

use self::finding::{Findings, Place};
use self::network::NetworkRules;
use self::packages::PackageRules;
use crate::config;
use crate::contract::{Violations, quoted};
use crate::environment::{Config, Environment, Scope};

pub use stored::read_stored;

/// The rules of a plan's policy, ready to judge.
#[derive(Clone, Debug)]
pub struct Policy {
    config_types: Option<Vec<&'static str>>,
    scopes: Option<Vec<Scope>>,
    network: NetworkRules,
    packages: PackageRules,
}

impl Policy {
    /// All values of [`Violation::keyword`](crate::contract::Violation::keyword) that a policy gives: each is the name of
    /// the setting whose rule was broken, but for `form`, where an entry of a package list is not in the form of its
    /// manager, and `unknown`, where a policy meets what it does not know.
    pub const KEYWORDS: [&'static str; 11] = [
        "allow",
        "allowed_hosts",
        "config_types",
        "deny",
        "form",
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

    /// Judges the environment that a create or an update would give.
    ///
    /// # Errors
    /// All [`Violations`], each pointing into the resource at the value that breaks a rule, whether the request named it or
    /// it was stored before.
    pub fn judge(&self, resulting: &Environment) -> Result<(), Violations> {
        let mut findings = Findings::default();
        self.judge_type(&resulting.config, &mut findings);
        if let Config::Cloud(config) = &resulting.config {
            self.network.judge(&config.networking, &mut findings);
            self.packages.judge(&config.packages, &mut findings);
        }
        self.judge_scope(resulting.scope, &mut findings);
        findings.into_result()
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
            Place::ROOT.member("config").member("type"),
            "config_types",
            |place| {
                (
                    format!("{place} is \"{found}\", which the policy of this plan does not allow"),
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
        findings.add(Place::ROOT.member("scope"), "scopes", |place| {
            let message = match scope {
                Some(scope) => format!(
                    "{place} is \"{}\", which the policy of this plan does not allow",
                    scope_name(&scope)
                ),
                None => format!("{place} is required by the policy of this plan"),
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

/// A stored text as an answer may repeat it: in quotes, or described where it is long or might hold a password.
fn shown(text: &str) -> String {
    let has_user = text.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
    let may_be_secret = text.contains("://") || has_user;
    quoted(text)
        .filter(|_| !may_be_secret)
        .unwrap_or_else(|| format!("a text of {} characters", text.chars().count()))
}

#[cfg(test)]
mod tests;
