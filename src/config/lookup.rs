//! How a name that somebody wrote is found among the settings that there are.

use super::catalogue::{ANY_MANAGER, ANY_NAME, SETTINGS, SettingDoc};
use crate::environment::PackageManager;

/// What a name within a table turned out to be.
pub(super) enum Known {
    /// A table; its path, as the catalogue writes it.
    Table(String),
    /// A setting.
    Setting,
}

/// Looks a name up in a table, or among the tables where `table` is empty. `table` is a path as the catalogue writes it.
pub(super) fn find(table: &str, name: &str) -> Option<Known> {
    let part = parts(table).find(|part| match *part {
        ANY_NAME => true,
        ANY_MANAGER => PackageManager::by_name(name).is_some(),
        fixed => fixed == name,
    })?;
    let path = if table.is_empty() {
        part.to_owned()
    } else {
        format!("{table}.{part}")
    };
    let is_setting = SETTINGS.iter().any(|setting| setting.path == path);
    Some(if is_setting {
        Known::Setting
    } else {
        Known::Table(path)
    })
}

/// The names that a table has, for hints; none where the operator chooses them.
pub(super) fn names(table: &str) -> Vec<&'static str> {
    parts(table)
        .flat_map(|part| match part {
            ANY_NAME => Vec::new(),
            ANY_MANAGER => PackageManager::ALL.map(PackageManager::name).to_vec(),
            fixed => vec![fixed],
        })
        .collect()
}

/// The setting that a path of the file is an instance of.
pub(super) fn setting(path: &str) -> Option<&'static SettingDoc> {
    let stands_for = |(part, name): (&str, &str)| match part {
        ANY_NAME | ANY_MANAGER => true,
        fixed => fixed == name,
    };
    SETTINGS.iter().find(|setting| {
        setting.path.split('.').count() == path.split('.').count()
            && setting.path.split('.').zip(path.split('.')).all(stands_for)
    })
}

/// The parts that follow a path in the catalogue, each once, in order.
fn parts(table: &str) -> impl Iterator<Item = &'static str> {
    let mut before = None;
    SETTINGS
        .iter()
        .filter_map(move |setting| {
            let rest = setting.path.strip_prefix(table)?;
            let rest = if table.is_empty() {
                rest
            } else {
                rest.strip_prefix('.')?
            };
            rest.split('.').next()
        })
        .filter(move |part| before.replace(*part) != Some(*part))
}
