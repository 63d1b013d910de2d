//! What the process environment sets; it goes before the file.

use std::collections::{BTreeMap, BTreeSet};

use super::errors::{ConfigErrors, Problem, SourceLocation};
use super::registry::{PREFIX, SETTINGS, SettingDoc};
use super::tree::{Entries, Raw, WrittenValue};
use crate::text::nearest_name;

/// Lays the variables over what the file set. One that has the form of ours, `ENVGATE_SECTION__NAME`, and
/// that no setting has is an error, unless the file takes a secret from it. The names of those without the
/// form are given back: whoever sets one may have meant a setting, but Kubernetes makes such for a service
/// that is called as we are.
pub(super) fn lay(
    environment: &BTreeMap<String, String>,
    entries: &mut Entries,
    errors: &mut ConfigErrors,
) -> Vec<String> {
    let mut without_form = Vec::new();
    let sources = secret_sources(entries);
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let location = SourceLocation::Variable(name.clone());
        if let Some(setting) = SETTINGS.find_by_variable(name) {
            let raw = Raw::Text(value.clone());
            entries
                .settings
                .insert(setting.path.to_owned(), WrittenValue { location, raw });
        } else if !sources.contains(name) && name.contains("__") {
            errors.add(&location, "", unknown(name));
        } else if !sources.contains(name) {
            without_form.push(name.clone());
        }
    }
    without_form
}

fn unknown(name: &str) -> Problem {
    let in_table = |setting: &&SettingDoc| {
        setting.variable().is_none()
            && name.starts_with(&format!(
                "{PREFIX}{}__",
                setting.named_table().replace('.', "__").to_uppercase()
            ))
    };
    if let Some(setting) = SETTINGS.iter().find(in_table) {
        return Problem::FileOnly {
            table: setting.named_table(),
        };
    }
    let variables: Vec<_> = SETTINGS.iter().filter_map(SettingDoc::variable).collect();
    let nearest = nearest_name(name, variables.iter().map(String::as_str)).map(str::to_owned);
    Problem::UnknownSetting { nearest }
}

fn secret_sources(entries: &Entries) -> BTreeSet<String> {
    let source = |written: &WrittenValue| match &written.raw {
        Raw::Table(table) => match table.get("env") {
            Some(Raw::String(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    };
    entries.settings.values().filter_map(source).collect()
}
