//! What the process environment sets; it goes before the file.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{PREFIX, SETTINGS, SettingDoc, nearest};
use super::faults::{Faults, Place, Problem};
use super::tree::{Entries, Raw, Written};

/// Lays the variables over what the file set. A variable of ours that no setting has is a fault, unless the
/// file takes a secret from it.
pub(super) fn lay(environment: &BTreeMap<String, String>, entries: &mut Entries, faults: &mut Faults) {
    let sources = secret_sources(entries);
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let place = Place::Variable(name.clone());
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == *name) {
            let raw = Raw::Text(value.clone());
            entries.insert(setting.path, Written { place, raw });
        } else if !sources.contains(name) {
            let variables: Vec<_> = SETTINGS.iter().map(SettingDoc::variable).collect();
            let nearest = nearest(name, variables.iter().map(String::as_str)).map(str::to_owned);
            faults.add(&place, "", Problem::UnknownSetting { nearest });
        }
    }
}

fn secret_sources(entries: &Entries) -> BTreeSet<String> {
    let source = |written: &Written| match &written.raw {
        Raw::Table(table) => match table.get("env") {
            Some(Raw::String(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    };
    entries.values().filter_map(source).collect()
}
