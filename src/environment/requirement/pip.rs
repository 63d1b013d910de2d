//! `pip install`: `name`, `name[extra,…]`, either with version specifiers; names are compared by PEP 503.
//!
//! Extras are understood and need no rule of their own: they ask for more of what the package depends on anyway. Left out
//! of what pip takes: options, files, URLs, `name @ URL`, environment markers (an environment has one Python), and
//! spaces.

use super::{Grammar, ends_in, is_word};

pub(super) const GRAMMAR: Grammar = Grammar {
    name,
    requirement,
    form: "a package of pip as name, name[extra] or either with versions and no spaces, such as \"pandas==2.2.0\"",
};

/// The longest first, because each is tried in turn.
const OPERATORS: [&str; 8] = ["===", "==", "~=", "!=", "<=", ">=", "<", ">"];
/// What pip takes for a file where there is one of that name.
const ARCHIVES: [&str; 13] = [
    ".whl",
    ".zip",
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz",
    ".tar.xz",
    ".txz",
    ".tlz",
    ".tar.lz",
    ".tar.lzma",
    ".egg",
];

/// PEP 503: runs of `-`, `_` and `.` are one hyphen, and case is not told apart.
fn name(text: &str) -> Option<String> {
    if !is_name(text) || ends_in(text, &ARCHIVES) {
        return None;
    }
    let parts = text.split(['-', '_', '.']).filter(|part| !part.is_empty());
    Some(parts.collect::<Vec<_>>().join("-").to_ascii_lowercase())
}

fn is_name(text: &str) -> bool {
    is_word(text, |byte| matches!(byte, b'-' | b'_' | b'.'))
}

fn requirement(entry: &str) -> Option<(&str, bool)> {
    if ends_in(entry, &ARCHIVES) {
        return None;
    }
    let end = entry.find(['=', '~', '!', '<', '>']).unwrap_or(entry.len());
    let (package, specifiers) = entry.split_at(end);
    let name = match package.split_once('[') {
        Some((name, extras)) => extras
            .strip_suffix(']')?
            .split(',')
            .all(is_name)
            .then_some(name)?,
        None => package,
    };
    if specifiers.is_empty() {
        return Some((name, false));
    }
    let is_specifier = |text: &str| {
        let parsed = OPERATORS
            .iter()
            .find_map(|operator| Some((*operator, text.strip_prefix(operator)?)));
        parsed.is_some_and(|(operator, version)| match version.strip_suffix(".*") {
            Some(prefix) => matches!(operator, "==" | "!=") && is_version(prefix),
            None => is_version(version),
        })
    };
    let exact = specifiers
        .strip_prefix("===")
        .or_else(|| specifiers.strip_prefix("=="));
    specifiers
        .split(',')
        .all(is_specifier)
        .then_some((name, exact.is_some_and(is_version)))
}

/// The shape of PEP 440, epoch and local label included.
fn is_version(text: &str) -> bool {
    let digits = text.strip_prefix(['v', 'V']).unwrap_or(text);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && is_word(digits, |byte| matches!(byte, b'.' | b'!' | b'+' | b'-' | b'_'))
}
