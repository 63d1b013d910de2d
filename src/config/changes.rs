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
    /// Of what stands behind it: a secret, or the content of a file.
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
        self.log.format = running.log.format;
        self.server.threads = running.server.threads;
        self.server.allows_core_dumps = running.server.allows_core_dumps;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn settings(text: &str) -> Settings {
        let environment = [
            ("ENVGATE_ADMIN__TOKEN", "0123456789abcdef"),
            ("KEY", "sk-one"),
            ("OTHER", "sk-two"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        load(&Source::new("envgate.toml", text, environment)).unwrap()
    }

    fn told(from: &str, to: &str) -> Vec<String> {
        let changes = settings(from).changes_to(&settings(to));
        let show = |value: Option<String>| value.unwrap_or("-".to_owned());
        let tell = |change: SettingChange| {
            let marks = [(change.is_secret, " secret"), (change.needs_restart, " restart")];
            let marks: String = marks
                .into_iter()
                .filter(|(is, _)| *is)
                .map(|(_, mark)| mark)
                .collect();
            format!(
                "{}: {} → {}{marks}",
                change.setting,
                show(change.from),
                show(change.to)
            )
        };
        changes.into_iter().map(tell).collect()
    }

    #[test]
    fn a_setting_is_told_from_what_to_what_and_its_default_is_a_value_too() {
        assert_eq!(
            told(
                "upstream.timeout = \"5s\"\n",
                "listen.max_body_bytes = 2048\n[plans.gold]\n"
            ),
            [
                "listen.max_body_bytes: 1048576 → 2048",
                "plans.gold: - → a table",
                "upstream.timeout: 5s → 60s",
            ]
        );
        assert_eq!(
            told(
                "",
                "upstream.timeout = \"60s\"\nlisten.max_body_bytes = 1048576\n"
            ),
            [""; 0]
        );
        assert_eq!(
            told("", "listen.trusted_networks = [\"127.0.0.0/8\", \"::1/128\"]\n"),
            [""; 0],
            "a list that is the default"
        );
    }

    #[test]
    fn no_secret_is_told_and_it_has_changed_where_what_stands_behind_it_has() {
        let upstream = |key: &str| {
            format!(
                "upstream.url = \"https://api.anthropic.com\"\nupstream.credential = {{ env = \"{key}\" }}\n"
            )
        };
        assert_eq!(
            told(&upstream("KEY"), &upstream("OTHER")),
            ["upstream.credential: { env = KEY } → { env = OTHER }"],
            "where one comes from is none"
        );
        let debug = format!("{:?}", settings(&upstream("KEY")));
        assert!(!debug.contains("sk-one"), "{debug}");

        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let text = format!("admin.token = {{ file = {file:?} }}\n");
        let read = |content: &str| {
            fs::write(&file, content).unwrap();
            load(&Source::new("envgate.toml", text.as_str(), [])).unwrap()
        };
        let (before, after) = (read("0123456789abcdef"), read("fedcba9876543210"));
        let changes = before.changes_to(&after);
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].setting, "admin.token");
        assert_eq!(changes[0].from, changes[0].to);
        let in_environment = |token: &str| {
            let environment = [("ENVGATE_ADMIN__TOKEN".to_owned(), token.to_owned())];
            load(&Source::new("envgate.toml", "", environment)).unwrap()
        };
        let changes = in_environment("0123456789abcdef").changes_to(&in_environment("fedcba9876543210"));
        assert!(changes[0].is_secret && changes[0].from.is_none() && changes[0].to.is_none());
    }

    #[test]
    fn what_needs_a_restart_stays_as_it_is_and_goes_on_to_be_told() {
        let running =
            settings("ownership.stamp_key = \"a\"\nserver.threads = 3\nupstream.timeout = \"5s\"\n");
        let read = settings(
            "ownership.stamp_key = \"b\"\nserver.threads = 4\nlisten.address = \"127.0.0.1:1\"\n\
             audit.enabled = false\nquota.replicas = 3\nstore.url = \"sqlite:other.db\"\nlog.format = \"json\"\n",
        );
        let taken_over = read.clone().taken_over_by(&running);
        assert_eq!(
            format!("{:?}", taken_over.ownership),
            format!("{:?}", running.ownership)
        );
        assert_eq!(taken_over.store.url, running.store.url);
        assert_eq!((taken_over.server.threads, taken_over.quota.replicas), (3, 1));
        assert_eq!(taken_over.listen.address, running.listen.address);
        assert_eq!(
            taken_over.upstream.timeout.as_secs(),
            60,
            "everything else is taken over"
        );

        let names = |changes: Vec<SettingChange>| {
            let named = changes
                .into_iter()
                .map(|change| (change.setting, change.needs_restart));
            named.collect::<Vec<_>>()
        };
        let lasting = [
            "audit.enabled",
            "listen.address",
            "log.format",
            "ownership.stamp_key",
            "quota.replicas",
            "server.threads",
            "store.url",
        ]
        .map(|setting| (setting.to_owned(), true));
        assert_eq!(
            names(taken_over.changes_to(&read)),
            lasting,
            "what was not taken over is still told"
        );
        assert_eq!(
            names(running.changes_to(&taken_over)),
            [("upstream.timeout".to_owned(), false)],
            "and only the rest has changed"
        );
    }
}
