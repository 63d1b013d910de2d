//! What to do about a violation, where a guess is near at hand. All names come from the schemas.

use std::cmp::Reverse;

use serde_json::{Map, Value};

use super::instance_path::InstancePath;
use super::shape::{Case, Kind, Shape};
use crate::contract::echo::{is_short, quoted};
use crate::text::{join_names, nearest_name};

/// For a value of the wrong type.
pub(super) fn for_type(path: &InstancePath<'_>, kinds: &[Kind], value: &Value) -> Option<String> {
    let expects = |kind| kinds.contains(&kind);
    match value {
        Value::String(text) if expects(Kind::Array) => {
            let text = quoted(text).filter(|_| !path.is_private)?;
            Some(format!("put it in a list: [{text}]"))
        }
        Value::String(text) if expects(Kind::Boolean) && matches!(text.as_str(), "true" | "false") => {
            Some(format!("write {text} without quotes"))
        }
        Value::Number(_) | Value::Bool(_) if expects(Kind::String) => Some("put it in quotes".to_owned()),
        Value::Null => Some("leave it out instead".to_owned()),
        _ => None,
    }
}

/// For a value that is none of those that are known.
pub(super) fn for_option(options: &[Value], value: &Value) -> Option<String> {
    let known = options.iter().filter_map(Value::as_str);
    nearest_name(value.as_str()?, known).map(did_you_mean)
}

/// For a name that the object does not know.
pub(super) fn for_unexpected(name: &str, shape: &Shape, siblings: &[Case]) -> Option<String> {
    if let Some(hint) = shape.hints.get(name).and_then(Value::as_str) {
        return Some(hint.to_owned());
    }
    let known = || shape.members.iter().map(|(known, _)| known.as_str());
    if let Some(near) = nearest_name(name, known()) {
        return Some(did_you_mean(near));
    }
    if let Some(case) = siblings.iter().find(|case| case.then.member(name).is_some()) {
        return Some(format!(
            r#""{name}" belongs to "{}": "{}""#,
            case.member, case.value
        ));
    }
    let known = join_names(known().map(|name| format!("\"{name}\"")), "and");
    Some(format!("the fields known here: {known}"))
}

/// For a name that the object must have.
pub(super) fn for_missing(name: &str, shape: &Shape, members: &Map<String, Value>) -> Option<String> {
    let is_known = |name: &str| {
        shape.member(name).is_some() || shape.cases.iter().any(|case| case.then.member(name).is_some())
    };
    let unknown = members.keys().map(String::as_str).filter(|name| !is_known(name));
    if let Some(misspelt) = nearest_name(name, unknown).and_then(quoted) {
        return Some(format!("did you mean \"{name}\" where it says {misspelt}?"));
    }
    // Of the cases, the one that knows most of what is there; the first where none knows more.
    let known = |case: &Case| {
        members
            .keys()
            .filter(|name| case.then.member(name).is_some())
            .count()
    };
    let cases = shape.cases.iter().filter(|case| case.member == name);
    let likely = cases.min_by_key(|case| Reverse(known(case)))?;
    Some(format!(r#"add "{name}": "{}""#, likely.value))
}

/// For a text that is no bare host name: the host in it.
pub(super) fn for_host(text: &str, shape: &Shape) -> Option<String> {
    let text = text.trim();
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next()?;
    let after_user = authority.rsplit('@').next()?;
    let host = match after_user.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => after_user,
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    let host = match host.strip_prefix('.') {
        Some(parent) => format!("*.{parent}"),
        None => host.to_owned(),
    };
    let is_host = shape
        .pattern
        .as_ref()
        .is_some_and(|pattern| pattern.is_valid(&Value::from(host.as_str())));
    (is_short(&host) && is_host).then(|| did_you_mean(&host))
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean \"{name}\"?")
}
