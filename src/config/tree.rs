//! The file as a tree with places, flattened to the settings that it sets.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::faults::{Faults, Place, Problem};
use super::lookup::{Known, find, names};
use crate::text::nearest_name;

/// A value as it was written, and where.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) place: Place,
    pub(super) raw: Raw,
}

/// A value before anybody asked what it should be.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    /// From the environment, or a default: numbers and truth values too are text there.
    Text(String),
    /// The file's string.
    String(String),
    /// The file's integer; one that is too large for the type is its largest.
    Integer(i128),
    /// The file's `true` or `false`.
    Boolean(bool),
    /// A table in place of a value: where a secret comes from.
    Table(BTreeMap<String, Raw>),
    /// The file's array, each element with its place.
    List(Vec<Written>),
    /// What no setting takes.
    Other(&'static str),
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
            Self::Other(kind) => kind,
        }
    }
}

/// What is set.
#[derive(Default)]
pub(super) struct Entries {
    /// The settings, by path.
    pub(super) settings: BTreeMap<String, Written>,
    /// The tables that were opened, by path, empty ones too.
    pub(super) tables: BTreeMap<String, Place>,
}

impl Entries {
    /// The names of the operator's choice in a table, each with its place.
    pub(super) fn names_in(&self, table: &str) -> Vec<(String, Place)> {
        let name = |(path, place): (&String, &Place)| {
            let name = path.strip_prefix(table)?.strip_prefix('.')?;
            (!name.contains('.')).then(|| (name.to_owned(), place.clone()))
        };
        self.tables.iter().filter_map(name).collect()
    }
}

/// How many faults of syntax are looked for.
const MOST_SYNTAX_FAULTS: usize = 20;

/// Reads the text of a file. A line that is not TOML gets that one fault and is then read as if it were
/// empty, so that the rest of the file is judged too and no piece of it is mistaken for something else.
pub(super) fn read(file: &str, text: &str, faults: &mut Faults) -> Entries {
    let mut remaining = text.to_owned();
    for _ in 0..MOST_SYNTAX_FAULTS {
        let (root, errors) = DeTable::parse_recoverable(&remaining);
        let offset = |error: &Error| error.span().map_or(text.len(), |span| span.start);
        let Some(first) = errors.iter().min_by_key(|error| offset(error)) else {
            let mut reading = Reading {
                file,
                text,
                faults,
                entries: Entries::default(),
            };
            reading.table("", "", root.get_ref());
            return reading.entries;
        };
        let place = place(file, text, offset(first));
        faults.add(&place, "", Problem::Syntax(first.message().to_owned()));
        let broken = broken_part(&remaining, offset(first));
        let without_it = without(&remaining, broken);
        if without_it == remaining {
            break;
        }
        remaining = without_it;
    }
    Entries::default()
}

/// The line at an offset; where it opens a table, all of that table.
fn broken_part(text: &str, offset: usize) -> Range<usize> {
    let start = text
        .get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1);
    let rest = text.get(start..).unwrap_or_default();
    let next = if rest.trim_start_matches([' ', '\t']).starts_with('[') {
        "\n["
    } else {
        "\n"
    };
    start..start + rest.find(next).unwrap_or(rest.len())
}

/// The text with spaces in place of a part, every other byte and line where it was.
fn without(text: &str, part: Range<usize>) -> String {
    let kept = |(index, character): (usize, char)| {
        let is_kept = character == '\n' || !part.contains(&index);
        if is_kept {
            character.to_string()
        } else {
            " ".repeat(character.len_utf8())
        }
    };
    text.char_indices().map(kept).collect()
}

struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    faults: &'a mut Faults,
    entries: Entries,
}

impl Reading<'_> {
    /// Reads a table: `path` is its own, `pattern` the catalogue's, both empty for the whole file.
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
        let place = self.place(name);
        let name = name.get_ref().as_ref();
        let path = joined(table, &shown(name));
        let content = value.get_ref();
        let Some(known) = find(pattern, name) else {
            let nearest = nearest_name(name, names(pattern)).map(str::to_owned);
            let problem = match content {
                DeValue::Table(_) | DeValue::Array(_) if table.is_empty() => {
                    Problem::UnknownTable { nearest }
                }
                _ => Problem::UnknownSetting { nearest },
            };
            return self.faults.add(&place, path, problem);
        };
        match (known, content) {
            (Known::Setting, _) => {
                let written = self.written(value);
                self.entries.settings.insert(path, written);
            }
            (Known::Table(_), _) if !is_name(name) => self.faults.add(&place, path, Problem::NotName),
            (Known::Table(pattern), DeValue::Table(content)) => {
                self.table(&path, &pattern, content);
                self.entries.tables.insert(path, place);
            }
            (Known::Table(_), other) => {
                let (expected, found) = ("a table", self.raw(other).kind());
                self.faults
                    .add(&place, path, Problem::WrongType { expected, found });
            }
        }
    }

    fn written(&self, value: &Spanned<DeValue<'_>>) -> Written {
        Written {
            place: self.place(value),
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
                Raw::List(elements.iter().map(|element| self.written(element)).collect())
            }
            DeValue::Float(_) => Raw::Other("a float"),
            DeValue::Datetime(_) => Raw::Other("a date"),
        }
    }

    fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        place(self.file, self.text, spanned.span().start)
    }
}

fn place(file: &str, text: &str, offset: usize) -> Place {
    let (line, column) = position(text, offset);
    Place::Text {
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
fn shown(name: &str) -> String {
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

fn joined(table: &str, name: &str) -> String {
    if table.is_empty() {
        name.to_owned()
    } else {
        format!("{table}.{name}")
    }
}
