//! What a dialect makes of an environment in a reply.

use super::{Edits, Node, Object};
use crate::environment::PackageManager;

/// Adds the edits that turn the upstream's environment into the dialect's.
pub(super) type EditEnvironment = fn(Object<'_>, &mut Edits);

/// The environment of the facade's document: without `scope`, its packages whole.
pub(super) fn edit_for_sandbase(environment: Object<'_>, edits: &mut Edits) {
    edits.change(environment, |member| member.is_named("scope"), "");
    let Some(config) = environment.member("config").and_then(Node::as_object) else {
        return;
    };
    if !config.member("type").is_some_and(|kind| kind.is_string("cloud")) {
        return;
    }
    match config.member("packages") {
        None => edits.change(
            config,
            |_| false,
            format!(r#""packages":{{{}}}"#, missing_packages(None)),
        ),
        Some(packages) if packages.is_null() => {
            edits.replace(packages, format!("{{{}}}", missing_packages(None)));
        }
        Some(packages) => {
            if let Some(packages) = packages.as_object() {
                complete_packages(packages, edits);
            }
        }
    }
}

fn complete_packages(packages: Object<'_>, edits: &mut Edits) {
    for list in packages.members().filter(Node::is_null) {
        if list.is_named("type") {
            edits.replace(list, r#""packages""#);
        } else if PackageManager::by_name(&list.name()).is_some() {
            edits.replace(list, "[]");
        }
    }
    edits.change(packages, |_| false, missing_packages(Some(packages)));
}

/// The members that a `packages` object does not have, as JSON.
fn missing_packages(packages: Option<Object<'_>>) -> String {
    let is_missing = |name: &str| packages.is_none_or(|packages| packages.member(name).is_none());
    let mut members = String::new();
    let mut add = |name, value| {
        let comma = if members.is_empty() { "" } else { "," };
        members.extend([comma, "\"", name, "\":", value]);
    };
    if is_missing("type") {
        add("type", "\"packages\"");
    }
    for name in PackageManager::ALL.map(PackageManager::name) {
        if is_missing(name) {
            add(name, "[]");
        }
    }
    members
}
