//! As much of the settings as can be had, for a command that says what is wrong when they are.

use std::collections::{BTreeMap, BTreeSet};

use ::url::Url;
use percent_encoding::percent_decode_str;

use super::errors::ConfigErrors;
use super::reader::Reader;
use super::registry::{SETTINGS, SettingDoc};
use super::settings::Settings;
use super::source::Source;
use super::tree::{self, Entries, Raw};
use super::{otel_variables, overlay, secrets};
use crate::text::Secret;

/// Settings of which some may be wrong.
#[derive(Default)]
pub struct PartialSettings {
    /// What is good, with defaults in the place of tables that are not; none where nothing can be made of them.
    pub settings: Option<Settings>,
    /// Everything that is wrong.
    pub errors: ConfigErrors,
    /// The tables, such as `upstream`, of which nothing holds because something in them is wrong.
    pub left_out: BTreeSet<String>,
    /// Whatever must not be shown: every secret that could be read.
    pub secrets: Vec<Secret>,
}

/// How often a table is left out for what is wrong with it, which then may be missing elsewhere.
const ROUNDS: usize = 4;

/// Reads settings as [`load`](super::load) does, and goes on where that gives up.
#[must_use]
pub fn load_partially(source: &Source) -> PartialSettings {
    let mut partial = PartialSettings::default();
    let mut entries = match tree::read(&source.name, &source.text, &mut partial.errors) {
        Ok(entries) => entries,
        Err(errors) => {
            partial.errors = errors;
            return partial;
        }
    };
    let ignored_variables = overlay::lay(&source.environment, &mut entries, &mut partial.errors);
    let otel_advice = otel_variables::lay(&source.environment, &mut entries);
    partial.secrets = secret_values(&entries, &source.environment);
    for round in 0..ROUNDS {
        let mut reader = Reader {
            entries: entries.clone(),
            environment: &source.environment,
            ignored_variables: ignored_variables.clone(),
            otel_advice: otel_advice.clone(),
            errors: ConfigErrors::default(),
        };
        partial.settings = reader.settings();
        let found = reader.errors;
        let tables: BTreeSet<_> = found.iter().map(|error| table(&error.path).to_owned()).collect();
        if round == 0 {
            partial.errors.append(found);
            partial.errors.sort();
        }
        entries.settings.retain(|path, _| !tables.contains(table(path)));
        entries.tables.retain(|path, _| !tables.contains(table(path)));
        partial.left_out.extend(tables);
        if partial.settings.is_some() {
            break;
        }
    }
    partial
}

fn table(path: &str) -> &str {
    path.split_once('.').map_or(path, |(table, _)| table)
}

fn secret_values(entries: &Entries, environment: &BTreeMap<String, String>) -> Vec<Secret> {
    let mut values = Vec::new();
    for (path, written) in &entries.settings {
        let Some(form) = SETTINGS.find(path).map(|setting: &SettingDoc| setting.form) else {
            continue;
        };
        if !form.contains("secret") {
            continue;
        }
        let is_by_reference = matches!(written.raw, Raw::Table(_));
        let Some(value) = secrets::value(&written.raw, environment) else {
            continue;
        };
        match Url::parse(&value) {
            Ok(url) if url.has_host() || url.query().is_some() => values.extend(passwords(&url)),
            // What may be plain is none where it stands in the file.
            _ if is_by_reference || form == "secret" => values.push(value),
            _ => {}
        }
    }
    values.into_iter().map(Secret::new).collect()
}

/// The passwords of a URL, as they are written and as they are meant.
fn passwords(url: &Url) -> Vec<String> {
    let mut found: Vec<String> = url.password().map(str::to_owned).into_iter().collect();
    found.extend(
        url.password()
            .map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned()),
    );
    for (name, value) in url.query_pairs() {
        if name.contains("password") || name == "pass" {
            found.push(value.into_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(text: &str, environment: &[(&str, &str)]) -> PartialSettings {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load_partially(&Source::new("my.toml", text, environment))
    }

    #[test]
    fn what_is_good_holds_although_something_else_is_wrong() {
        let text = "[upstream]\nurl = \"https://api.anthropic.com\"\ncredential = { env = \"NOT_SET\" }\n\
                    [listen]\naddress = \"127.0.0.1:1234\"\n[lsten]\n[store]\nurl = \"sqlite:mine.db\"\n";
        let partial = partial(text, &[]);
        assert_eq!(partial.errors.len(), 2, "{}", partial.errors);
        let settings = partial.settings.unwrap();
        assert_eq!(settings.listen.address.port(), 1234);
        assert_eq!(settings.store.url.reveal(), "sqlite:mine.db");
        assert!(partial.left_out.contains("upstream"), "{:?}", partial.left_out);
        assert!(!partial.left_out.contains("listen"));
    }

    #[test]
    fn nothing_can_be_made_of_what_is_no_toml() {
        let partial = partial("[upstream\n", &[]);
        assert!(partial.settings.is_none());
        assert_eq!(partial.errors.len(), 1);
    }

    #[test]
    fn every_secret_that_can_be_read_is_known_and_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "a-token-from-a-file\n").unwrap();
        let text = format!("[admin]\ntoken = {{ file = {:?} }}\n", file.display().to_string());
        let environment = [
            ("ENVGATE_UPSTREAM__CREDENTIAL", "hunter2-the-key"),
            ("ENVGATE_STORE__URL", "postgres://u:p%40ss@h/d"),
            ("ENVGATE_QUOTA__REDIS", "unix:///tmp/r.sock?pass=redis-secret"),
        ];
        let partial = partial(&text, &environment);
        let secrets: Vec<_> = partial.secrets.iter().map(Secret::reveal).collect();
        for wanted in [
            "a-token-from-a-file",
            "hunter2-the-key",
            "p%40ss",
            "p@ss",
            "redis-secret",
        ] {
            assert!(secrets.contains(&wanted), "{wanted}: {secrets:?}");
        }
    }
}
