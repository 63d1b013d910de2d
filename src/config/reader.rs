//! How one setting is read: as it was written, else its default, with the place of what is wrong with it.

use std::collections::BTreeMap;

use super::errors::{ConfigErrors, Problem, SourceLocation};
use super::registry::{SETTINGS, SettingDoc};
use super::tree::{Entries, Raw, WrittenValue};
use super::values;

/// Takes one setting after the other from what was written. Every function asks for all that it needs before
/// it gives up, so that one fault does not hide the next.
pub(super) struct Reader<'a> {
    pub(super) entries: Entries,
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) ignored_variables: Vec<String>,
    /// What is ignored of the variables that other software heeds, each in a sentence.
    pub(super) otel_advice: Vec<String>,
    pub(super) errors: ConfigErrors,
}

impl Reader<'_> {
    /// The value of a setting as it was written, else its default; none where there is neither, or an error.
    pub(super) fn read<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&Raw) -> Result<T, Problem>,
    ) -> Option<T> {
        let written = self.entries.settings.get(path).cloned().or_else(|| {
            let raw = Raw::Text(SETTINGS.find(path)?.default?.to_owned());
            Some(WrittenValue {
                location: SourceLocation::Default,
                raw,
            })
        })?;
        self.parse(&written, path, parse)
    }

    /// The value of a setting, or `otherwise` where it is not set; none where there is an error.
    pub(super) fn read_or<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&Raw) -> Result<T, Problem>,
        otherwise: T,
    ) -> Option<T> {
        self.read_optional(path, parse)
            .map(|value| value.unwrap_or(otherwise))
    }

    /// The value of a setting, if it is set; none where there is an error.
    pub(super) fn read_optional<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&Raw) -> Result<T, Problem>,
    ) -> Option<Option<T>> {
        if !self.is_set(path) {
            return Some(None);
        }
        self.read(path, parse).map(Some)
    }

    /// The elements of a list, if it is set; none where there is an error. Every element is looked at.
    pub(super) fn read_list<T>(
        &mut self,
        path: &str,
        parse: impl Fn(&Raw) -> Result<T, Problem>,
    ) -> Option<Option<Vec<T>>> {
        let elements = self.read_optional(path, |raw| values::list(raw).map(<[WrittenValue]>::to_vec))?;
        let Some(elements) = elements else {
            return Some(None);
        };
        let parsed: Vec<_> = elements
            .iter()
            .map(|element| self.parse(element, path, &parse))
            .collect();
        parsed.into_iter().collect::<Option<_>>().map(Some)
    }

    fn parse<T>(
        &mut self,
        written: &WrittenValue,
        path: &str,
        parse: impl FnOnce(&Raw) -> Result<T, Problem>,
    ) -> Option<T> {
        match parse(&written.raw) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.errors.add(&written.location, path, problem);
                None
            }
        }
    }

    pub(super) fn is_set(&self, path: &str) -> bool {
        self.entries.settings.contains_key(path)
    }

    /// A fault between settings.
    pub(super) fn fault(&mut self, path: &str, problem: Problem) {
        let location = self
            .entries
            .settings
            .get(path)
            .map_or(SourceLocation::Default, |written| written.location.clone());
        self.fault_at(&location, path, problem);
    }

    /// A fault between settings, at a location.
    pub(super) fn fault_at(&mut self, location: &SourceLocation, path: &str, problem: Problem) {
        self.errors.add(location, path, problem);
    }
}

/// The environment variable that sets a setting.
pub(super) fn variable(path: &str) -> Option<String> {
    SETTINGS.find(path).and_then(SettingDoc::variable)
}
