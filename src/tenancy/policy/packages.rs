use std::collections::{BTreeMap, HashSet};

use super::apt_pattern::Pattern;
use super::finding::{FindingPath, Findings, choices, quote_stored};
use crate::config::{Install, PackageRule};
use crate::environment::{PackageManager, PackageName, Packages};

/// What the package lists may hold; a list without a rule may hold anything.
#[derive(Clone, Debug)]
pub(super) struct PackageRules(Vec<ListRule>);

#[derive(Clone, Debug)]
struct ListRule {
    manager: PackageManager,
    install: Install,
    allow: Option<Names>,
    deny: Names,
}

/// Names as their manager compares them.
#[derive(Clone, Debug)]
struct Names {
    /// In alphabetical order, for hints.
    listed: Vec<String>,
    set: HashSet<String>,
}

impl PackageRules {
    pub(super) fn new(settings: &BTreeMap<PackageManager, PackageRule>) -> Self {
        let rule = |(manager, rule): (&PackageManager, &PackageRule)| ListRule {
            manager: *manager,
            install: rule.install,
            allow: rule.allow.as_ref().map(Names::new),
            deny: Names::new(&rule.deny),
        };
        Self(settings.iter().map(rule).collect())
    }

    /// Whether there is any rule.
    pub(super) const fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(super) fn judge(&self, packages: &Packages, findings: &mut Findings) {
        for rule in &self.0 {
            rule.judge(rule.manager.list(packages), findings);
        }
    }
}

impl ListRule {
    fn judge(&self, entries: &[String], findings: &mut Findings) {
        let manager = self.manager;
        let list = FindingPath::ROOT
            .member("config")
            .member("packages")
            .member(manager.name());
        if self.install == Install::Off && !entries.is_empty() {
            return findings.add(list, "install", |path| {
                (
                    format!(
                        "{path} must be empty by the policy of this plan, and it is not: {}",
                        count(entries)
                    ),
                    Some(format!("send \"{manager}\": []")),
                )
            });
        }
        for (index, entry) in entries.iter().enumerate() {
            self.judge_entry(entry, list.element(index), findings);
        }
    }

    fn judge_entry(&self, entry: &str, path: FindingPath<'_>, findings: &mut Findings) {
        let requirement = match self.manager.requirement(entry) {
            Ok(requirement) => requirement,
            Err(fault) => {
                return findings.add(path, "form", |path| {
                    let why = "which the policy of this plan cannot take for a package";
                    (
                        format!("{path} is {}, {why}", quote_stored(entry)),
                        Some(fault.to_string()),
                    )
                });
            }
        };
        let name = requirement.name.as_str();
        let is_denied = self.deny.hold(self.manager, name) || self.is_pattern_of_denied(name);
        if is_denied {
            return findings.add(path, "deny", |path| {
                let why = "which the policy of this plan denies";
                (format!("{path} is {}, {why}", quote_stored(entry)), None)
            });
        }
        if let Some(allow) = self
            .allow
            .as_ref()
            .filter(|allow| !allow.hold(self.manager, name))
        {
            return findings.add(path, "allow", |path| {
                let why = "which the policy of this plan does not allow";
                let hint = choices("the packages that it allows", allow.listed.iter());
                (format!("{path} is {}, {why}", quote_stored(entry)), Some(hint))
            });
        }
        if self.install == Install::Pinned && !requirement.is_pinned {
            findings.add(path, "install", |path| {
                let why = "and the policy of this plan wants one exact version";
                let hint = format!("write it as \"{}\"", pinned(self.manager, name));
                (format!("{path} is {}, {why}", quote_stored(entry)), Some(hint))
            });
        }
    }

    /// Whether apt could take a name for a pattern that finds a denied package. An allowed name is compared
    /// as it is.
    fn is_pattern_of_denied(&self, name: &str) -> bool {
        if self.manager != PackageManager::Apt || self.allow.is_some() {
            return false;
        }
        Pattern::of(name).is_some_and(|pattern| self.deny.listed.iter().any(|denied| pattern.finds(denied)))
    }
}

impl Names {
    fn new<'a>(names: impl IntoIterator<Item = &'a PackageName>) -> Self {
        let listed: Vec<_> = names.into_iter().map(|name| name.as_str().to_owned()).collect();
        let set = listed.iter().cloned().collect();
        Self { listed, set }
    }

    /// Whether a name is among them. A path of go is, too, where one that it is below of is: a module is
    /// denied or allowed with all of its packages.
    fn hold(&self, manager: PackageManager, name: &str) -> bool {
        if self.set.contains(name) {
            return true;
        }
        manager == PackageManager::Go
            && name
                .match_indices('/')
                .filter_map(|(end, _)| name.get(..end))
                .any(|above| self.set.contains(above))
    }
}

/// A name with a version, in the manager's way.
fn pinned(manager: PackageManager, name: &str) -> String {
    let sign = match manager {
        PackageManager::Apt => "=",
        PackageManager::Cargo | PackageManager::Npm => "@",
        PackageManager::Gem => ":",
        PackageManager::Go => "@v",
        PackageManager::Pip => "==",
    };
    format!("{name}{sign}VERSION")
}

fn count(entries: &[String]) -> String {
    match entries {
        [only] => quote_stored(only),
        [first, ..] => format!("{} and {} more", quote_stored(first), entries.len() - 1),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests;
