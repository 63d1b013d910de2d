//! What a reload would change: settings by name, and from what to what unless that is secret.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;

use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::registry::{SETTINGS, SettingDoc};
use super::secrets;
use super::settings::Settings;
use super::tree::{Entries, Raw, WrittenValue};

/// What is set, by path, in a form that can be compared and told.
#[derive(Clone, Default)]
pub(super) struct WrittenSettings(BTreeMap<String, Written>);

#[derive(Clone, PartialEq, Eq)]
struct Written {
    /// As the operator wrote it; none where that is secret.
    text: Option<String>,
    /// Of what stands behind it: a secret, or the content of a file or of a folder.
    digest: Option<[u8; 32]>,
}

/// A setting that two readings of the settings do not agree about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingChange {
    /// Its path.
    pub setting: String,
    /// What it was, or where it came from; none where it was not set or is secret.
    pub from: Option<String>,
    /// What it is; none where it is not set or is secret. The same where only what stands behind it is another,
    /// such as the content of a file.
    pub to: Option<String>,
    /// Whether the values are not to be told.
    pub is_secret: bool,
    /// Whether it holds only from the next start on.
    pub needs_restart: bool,
}

/// What a table is called that was opened, be it empty: a plan without settings is a plan.
const TABLE: &str = "a table";

impl WrittenSettings {
    /// What was written, all of which could be read.
    pub(super) fn new(entries: &Entries, environment: &BTreeMap<String, String>) -> Self {
        let tables = entries.tables.keys().filter(|path| path.contains('.'));
        let tables = tables.map(|path| (path.clone(), Written::plain(TABLE.to_owned())));
        let settings = entries.settings.iter().filter_map(|(path, written)| {
            let doc = SETTINGS.find(path)?;
            Some((path.clone(), Written::new(doc, &written.raw, environment)))
        });
        Self(tables.chain(settings).collect())
    }

    /// A secret is another one from now on.
    pub(super) fn set_secret(&mut self, path: &str, value: &str) {
        let digest = Written::secret(value).digest;
        if let Some(written) = self.0.get_mut(path) {
            written.digest = digest;
        }
    }

    /// What stands behind a setting has this digest.
    pub(super) fn set_content(&mut self, path: &str, digest: [u8; 32]) {
        if let Some(written) = self.0.get_mut(path) {
            written.digest = Some(digest);
        }
    }

    /// The value of a setting, be it its default.
    fn get(&self, path: &str) -> Option<Written> {
        let default = || Some(Written::plain(SETTINGS.find(path)?.default?.to_owned()));
        self.0.get(path).cloned().or_else(default)
    }
}

impl Written {
    fn plain(text: String) -> Self {
        Self {
            text: Some(text),
            digest: None,
        }
    }

    fn secret(value: &str) -> Self {
        Self {
            text: None,
            digest: Some(sha256(value.as_bytes())),
        }
    }

    fn new(doc: &SettingDoc, raw: &Raw, environment: &BTreeMap<String, String>) -> Self {
        let text = in_words(raw);
        if doc.is_secret() {
            let value = Zeroizing::new(secrets::resolve(raw, environment).unwrap_or_default());
            return match raw {
                // What stands in the file itself was found to be no secret.
                Raw::String(_) => Self::plain(text),
                // Nor is where one comes from.
                Raw::Table(_) => Self {
                    text: Some(text),
                    ..Self::secret(&value)
                },
                _ => Self::secret(&value),
            };
        }
        let digest = doc.names_pem_file().then(|| fs::read(&text).ok()).flatten();
        Self {
            digest: digest.map(|content| sha256(&content)),
            text: Some(text),
        }
    }
}

/// Nothing of it is to be shown: a digest of something short can be undone.
impl fmt::Debug for WrittenSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrittenSettings").finish_non_exhaustive()
    }
}

fn sha256(content: &[u8]) -> [u8; 32] {
    digest(&SHA256, content).as_ref().try_into().unwrap_or_default()
}

/// A value as it would be written in the environment.
fn in_words(raw: &Raw) -> String {
    let join = |parts: Vec<String>| parts.join(", ");
    match raw {
        Raw::Text(text) | Raw::String(text) => text.clone(),
        Raw::Integer(number) => number.to_string(),
        Raw::Float(digits) => digits.clone(),
        Raw::Boolean(truth) => truth.to_string(),
        Raw::Table(members) => {
            let member = |(name, raw): (&String, &Raw)| format!("{name} = {}", in_words(raw));
            format!("{{ {} }}", join(members.iter().map(member).collect()))
        }
        Raw::List(elements) => {
            let element = |written: &WrittenValue| in_words(&written.raw);
            join(elements.iter().map(element).collect())
        }
        Raw::Other(kind) => (*kind).to_owned(),
    }
}

impl Settings {
    /// What is another in `read` than here, by path.
    #[must_use]
    pub fn changes_to(&self, read: &Self) -> Vec<SettingChange> {
        let (before, after) = (&self.written, &read.written);
        let paths: BTreeSet<_> = before.0.keys().chain(after.0.keys()).collect();
        let change = |path: &String| {
            let (from, to) = (before.get(path), after.get(path));
            if from == to {
                return None;
            }
            let is_secret = [&from, &to]
                .into_iter()
                .flatten()
                .any(|written| written.text.is_none());
            let text = |written: Option<Written>| written.and_then(|written| written.text);
            Some(SettingChange {
                setting: path.clone(),
                from: text(from).filter(|_| !is_secret),
                to: text(to).filter(|_| !is_secret),
                is_secret,
                needs_restart: self.needs_restart(read, path),
            })
        };
        paths.into_iter().filter_map(change).collect()
    }

    /// Whether a setting that is another in `read` cannot be taken over while the process runs.
    fn needs_restart(&self, read: &Self, path: &str) -> bool {
        let is_switched = |table: &str, before: bool, after: bool| {
            let within = path
                .strip_prefix(table)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            within && before != after
        };
        SETTINGS.find(path).is_some_and(|doc| doc.needs_restart())
            // What an address speaks is as good as another address.
            || is_switched("listen.tls", self.listen.tls.is_some(), read.listen.tls.is_some())
            || is_switched("admin.tls", self.admin.tls.is_some(), read.admin.tls.is_some())
    }

    /// These settings as far as a process can take them over that runs with `running`: what
    /// [needs a restart](SettingChange::needs_restart) is as it is there.
    #[must_use]
    pub fn taken_over_by(mut self, running: &Self) -> Self {
        let lasting: Vec<_> = running
            .changes_to(&self)
            .into_iter()
            .filter(|change| change.needs_restart)
            .map(|change| change.setting)
            .collect();
        for path in lasting {
            match running.written.0.get(&path) {
                Some(written) => self.written.0.insert(path, written.clone()),
                None => self.written.0.remove(&path),
            };
        }
        let (listen, quota) = (&mut self.listen, &mut self.quota);
        listen.address = running.listen.address;
        listen.has_proxy_protocol = running.listen.has_proxy_protocol;
        if listen.tls.is_some() != running.listen.tls.is_some() {
            listen.tls.clone_from(&running.listen.tls);
        }
        self.admin.address = running.admin.address;
        if self.admin.tls.is_some() != running.admin.tls.is_some() {
            self.admin.tls.clone_from(&running.admin.tls);
        }
        self.ownership = running.ownership.clone();
        quota.replicas = running.quota.replicas;
        quota.window = running.quota.window;
        quota.redis.clone_from(&running.quota.redis);
        self.store = running.store.clone();
        self.audit = running.audit.clone();
        self.drift = running.drift;
        self.log.format = running.log.format;
        self.server.threads = running.server.threads;
        self.server.allows_core_dumps = running.server.allows_core_dumps;
        self.server
            .handover_directory
            .clone_from(&running.server.handover_directory);
        self
    }
}

#[cfg(test)]
mod tests;
