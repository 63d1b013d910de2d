//! All settings there are: names, hints, defaults and the page of the documentation come from here alone.

mod listen;
mod plans;
mod process;
mod telemetry;
mod traffic;

use crate::environment::PackageManager;

/// One setting as the documentation, the hints and the reader know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingDoc {
    /// Table and key, `listen.address`. `NAME` stands for a name of the operator's choice, `MANAGER` for a
    /// package manager.
    pub path: &'static str,
    /// The values that it takes, in words.
    pub form: &'static str,
    /// What holds where nothing is set, written as in the environment; none where the setting may be absent.
    pub default: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
}

impl SettingDoc {
    /// The table of the file that it stands in.
    #[must_use]
    pub fn table(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(table, _)| table)
    }

    /// The table whose names are the operator's choice; the first part of its path where there is none.
    pub(super) fn named_table(&self) -> &'static str {
        match self.path.split_once(&format!(".{ANY_NAME}")) {
            Some((table, _)) => table,
            None => self.table(),
        }
    }

    /// Its name within the table.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, key)| key)
    }

    /// The environment variable that sets it and goes before the file; none where the path has a name of the
    /// operator's choice, which no variable could tell from its upper case.
    ///
    /// ```
    /// let setting = |path| envgate::config::SETTINGS.find(path).unwrap();
    /// assert_eq!(setting("upstream.url").variable().unwrap(), "ENVGATE_UPSTREAM__URL");
    /// assert_eq!(setting("listen.tls.key").variable().unwrap(), "ENVGATE_LISTEN__TLS__KEY");
    /// assert_eq!(setting("plans.gold.operations").variable(), None);
    /// ```
    #[must_use]
    pub fn variable(&self) -> Option<String> {
        let has_name = self.path.split('.').any(|part| part == ANY_NAME);
        (!has_name).then(|| format!("{PREFIX}{}", self.path.replace('.', "__")).to_uppercase())
    }
}

impl SettingDoc {
    /// Whether its value may be a secret.
    pub(super) fn is_secret(&self) -> bool {
        self.form == "secret" || self.form.ends_with("or a secret")
    }

    /// Whether it names a file whose content is what matters.
    pub(super) fn names_pem_file(&self) -> bool {
        self.form == "path of a PEM file"
    }

    /// Whether it is read at the start alone.
    #[must_use]
    pub fn needs_restart(&self) -> bool {
        AT_START_ALONE.contains(&self.path)
    }
}

/// The settings that a running process cannot take over. Whoever adds one here adds it to what
/// [`Settings::taken_over_by`](super::Settings::taken_over_by) keeps.
const AT_START_ALONE: &[&str] = &[
    "listen.address",
    "listen.proxy_protocol",
    "admin.address",
    "ownership.stamp",
    "ownership.stamp_key",
    "ownership.adoption_timeout",
    "quota.replicas",
    "quota.redis",
    "quota.window",
    "store.url",
    "store.listen_url",
    "store.auto_migrate",
    "store.migration_url",
    "audit.enabled",
    "audit.file",
    "audit.spool",
    "audit.retention",
    "drift.enabled",
    "drift.retention",
    "log.format",
    "server.threads",
    "server.core_dumps",
    "server.handover_directory",
];

/// What the name of every variable of ours begins with.
pub(super) const PREFIX: &str = "ENVGATE_";

/// The part of a path in whose place the operator writes a name.
const ANY_NAME: &str = "NAME";
/// The part of a path in whose place a package manager stands.
const ANY_MANAGER: &str = "MANAGER";

/// Every setting there is, in the order of the documentation.
pub const SETTINGS: SettingsRegistry = SettingsRegistry([
    listen::SETTINGS,
    traffic::SETTINGS,
    plans::SETTINGS,
    process::SETTINGS,
    telemetry::SETTINGS,
]);

/// The settings that there are, and how a name that somebody wrote is found among them.
#[derive(Debug)]
pub struct SettingsRegistry([&'static [SettingDoc]; 5]);

/// What a name within a table turned out to be.
pub(super) enum Known {
    /// A table; its path, as the registry writes it.
    Table(String),
    /// A setting.
    Setting,
}

impl SettingsRegistry {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'static SettingDoc> {
        self.0.into_iter().flatten()
    }

    /// The setting that a path of the file is an instance of.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&'static SettingDoc> {
        let stands_for = |(part, name): (&str, &str)| match part {
            ANY_NAME | ANY_MANAGER => true,
            fixed => fixed == name,
        };
        self.iter().find(|setting| {
            setting.path.split('.').count() == path.split('.').count()
                && setting.path.split('.').zip(path.split('.')).all(stands_for)
        })
    }

    /// The setting that an environment variable sets.
    pub(super) fn find_by_variable(&self, name: &str) -> Option<&'static SettingDoc> {
        self.iter()
            .find(|setting| setting.variable().as_deref() == Some(name))
    }

    /// Looks a name up in a table, or among the tables where `table` is empty. `table` is a path as the
    /// registry writes it.
    pub(super) fn member(&self, table: &str, name: &str) -> Option<Known> {
        let part = self.parts(table).find(|part| match *part {
            ANY_NAME => true,
            ANY_MANAGER => PackageManager::by_name(name).is_some(),
            fixed => fixed == name,
        })?;
        let path = if table.is_empty() {
            part.to_owned()
        } else {
            format!("{table}.{part}")
        };
        let is_setting = self.iter().any(|setting| setting.path == path);
        Some(if is_setting {
            Known::Setting
        } else {
            Known::Table(path)
        })
    }

    /// The names that a table has, for hints; none where the operator chooses them.
    pub(super) fn member_names(&self, table: &str) -> Vec<&'static str> {
        self.parts(table)
            .flat_map(|part| match part {
                ANY_NAME => Vec::new(),
                ANY_MANAGER => PackageManager::ALL.map(PackageManager::name).to_vec(),
                fixed => vec![fixed],
            })
            .collect()
    }

    /// The parts that follow a path, each once, in order.
    fn parts(&self, table: &str) -> impl Iterator<Item = &'static str> {
        let mut before = None;
        self.iter()
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
}

#[cfg(test)]
mod tests;
