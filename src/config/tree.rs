//! The file as a tree with places, flattened to the settings that it sets.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroize;

use super::errors::{ConfigErrors, Problem, SourceLocation};
use super::registry::{Known, SETTINGS};
use crate::text::nearest_name;

/// A value as it was written, and where.
#[derive(Clone, Debug)]
pub(super) struct WrittenValue {
    pub(super) location: SourceLocation,
    pub(super) raw: Raw,
}

/// A value before anybody asked what it should be. It may be a secret.
#[derive(Clone)]
pub(super) enum Raw {
    /// From the environment, or a default: numbers and truth values too are text there.
    Text(String),
    /// The file's string.
    String(String),
    /// The file's integer; one that is too large for the type is its largest.
    Integer(i128),
    /// The file's number with a point, as it is written.
    Float(String),
    /// The file's `true` or `false`.
    Boolean(bool),
    /// A table in location of a value: where a secret comes from.
    Table(BTreeMap<String, Raw>),
    /// The file's array, each element with its location.
    List(Vec<WrittenValue>),
    /// What no setting takes.
    Other(&'static str),
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Self::Text(text) | Self::String(text) = self {
            text.zeroize();
        }
    }
}

impl Raw {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "true or false",
            Self::Table(_) => "a table",
            Self::List(_) => "an array",
            Self::Float(_) => "a float",
            Self::Other(kind) => kind,
        }
    }
}

/// What is set.
#[derive(Clone, Default)]
pub(super) struct Entries {
    /// The settings, by path.
    pub(super) settings: BTreeMap<String, WrittenValue>,
    /// The tables that were opened, by path, empty ones too.
    pub(super) tables: BTreeMap<String, SourceLocation>,
}

impl Entries {
    /// The names of the operator's choice in a table, each with its location.
    pub(super) fn names_in(&self, table: &str) -> Vec<(String, SourceLocation)> {
        let name = |(path, location): (&String, &SourceLocation)| {
            let name = path.strip_prefix(table)?.strip_prefix('.')?;
            (!name.contains('.')).then(|| (name.to_owned(), location.clone()))
        };
        self.tables.iter().filter_map(name).collect()
    }
}

/// Reads the text of a file.
///
/// # Errors
/// The one of its syntax, where it is not TOML: what stands after that could be taken for something else.
pub(super) fn read(file: &str, text: &str, errors: &mut ConfigErrors) -> Result<Entries, ConfigErrors> {
    let root = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(text.len(), |span| span.start);
        let problem = Problem::Syntax(error.message().to_owned());
        let mut errors = ConfigErrors::default();
        errors.add(&location(file, text, offset), "", problem);
        errors
    })?;
    let mut reading = Reading {
        file,
        text,
        errors,
        entries: Entries::default(),
    };
    reading.table("", "", root.get_ref());
    Ok(reading.entries)
}

struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    errors: &'a mut ConfigErrors,
    entries: Entries,
}

impl Reading<'_> {
    /// Reads a table: `path` is its own, `pattern` the registry's, both empty for the whole file.
    fn table(&mut self, path: &str, pattern: &str, content: &DeTable<'_>) {
        for (name, value) in content {
            self.member(path, pattern, name, value);
        }
    }

    fn member(
        &mut self,
        table: &str,
        pattern: &str,
        name: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let location = self.location(name);
        let name = name.get_ref().as_ref();
        let path = join_path(table, &quote_key(name));
        let content = value.get_ref();
        let Some(known) = SETTINGS.member(pattern, name) else {
            let nearest = nearest_name(name, SETTINGS.member_names(pattern)).map(str::to_owned);
            let problem = match content {
                DeValue::Table(_) | DeValue::Array(_) if table.is_empty() => {
                    Problem::UnknownTable { nearest }
                }
                _ => Problem::UnknownSetting { nearest },
            };
            return self.errors.add(&location, path, problem);
        };
        match (known, content) {
            (Known::Setting, _) => {
                let written = self.value(value);
                self.entries.settings.insert(path, written);
            }
            (Known::Table(_), _) if !is_name(name) => self.errors.add(&location, path, Problem::NotName),
            (Known::Table(pattern), DeValue::Table(content)) => {
                self.table(&path, &pattern, content);
                self.entries.tables.insert(path, location);
            }
            (Known::Table(_), other) => {
                let (expected, found) = ("a table", self.raw(other).kind());
                self.errors
                    .add(&location, path, Problem::WrongType { expected, found });
            }
        }
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> WrittenValue {
        WrittenValue {
            location: self.location(value),
            raw: self.raw(value.get_ref()),
        }
    }

    fn raw(&self, value: &DeValue<'_>) -> Raw {
        match value {
            DeValue::String(text) => Raw::String(text.to_string()),
            DeValue::Integer(digits) => {
                Raw::Integer(i128::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i128::MAX))
            }
            DeValue::Boolean(truth) => Raw::Boolean(*truth),
            DeValue::Table(table) => Raw::Table(
                table
                    .iter()
                    .map(|(key, value)| (key.get_ref().to_string(), self.raw(value.get_ref())))
                    .collect(),
            ),
            DeValue::Array(elements) => {
                Raw::List(elements.iter().map(|element| self.value(element)).collect())
            }
            DeValue::Float(digits) => Raw::Float(digits.as_str().to_owned()),
            DeValue::Datetime(_) => Raw::Other("a date"),
        }
    }

    fn location<T>(&self, spanned: &Spanned<T>) -> SourceLocation {
        location(self.file, self.text, spanned.span().start)
    }
}

fn location(file: &str, text: &str, offset: usize) -> SourceLocation {
    let (line, column) = position(text, offset);
    SourceLocation::Text {
        file: file.to_owned(),
        line,
        column,
    }
}

/// Line and column, from 1, of an offset in bytes; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
    (line, column)
}

/// A name as TOML would write it.
fn quote_key(name: &str) -> String {
    if is_bare(name) {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

fn is_bare(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.chars().all(is_legal)
}

/// Whether a plan or a credential can have this name.
fn is_name(name: &str) -> bool {
    is_bare(name) && name.len() <= 64
}

fn join_path(table: &str, name: &str) -> String {
    if table.is_empty() {
        name.to_owned()
    } else {
        format!("{table}.{name}")
    }
}
