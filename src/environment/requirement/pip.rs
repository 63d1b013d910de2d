//! `pip install`: `name`, `name[extra,…]`, either with version specifiers; names are compared by PEP 503.
//!
//! Extras are understood and need no rule of their own: they ask for more of what the package depends on
//! anyway. Left out of what pip takes: options, files, URLs, `name @ URL`, environment markers (an
//! environment has one Python), and spaces.

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

/// PEP 440 as its appendix B has it: `v`, epoch, release, pre-, post- and development release, local label.
fn is_version(text: &str) -> bool {
    const PRE: &[&str] = &["alpha", "beta", "preview", "pre", "rc", "a", "b", "c"];
    const POST: &[&str] = &["post", "rev", "r"];
    let text = text.to_ascii_lowercase();
    let text = text.strip_prefix('v').unwrap_or(&text);
    let (text, local) = text
        .split_once('+')
        .map_or((text, None), |(public, local)| (public, Some(local)));
    let is_label = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !local.is_none_or(|local| local.split(SEPARATORS).all(is_label)) {
        return false;
    }
    let (epoch, text) = text.split_once('!').unwrap_or(("0", text));
    let Some(mut rest) = after_number(text).filter(|_| after_number(epoch) == Some("")) else {
        return false;
    };
    while let Some(next) = rest.strip_prefix('.').and_then(after_number) {
        rest = next;
    }
    let rest = after_tag(rest, PRE);
    let rest = match rest.strip_prefix('-').and_then(after_number) {
        Some(after) => after,
        None => after_tag(rest, POST),
    };
    after_tag(rest, &["dev"]).is_empty()
}

const SEPARATORS: [char; 3] = ['-', '_', '.'];

/// What follows a number; none where there is none, or one that nobody counts to.
fn after_number(text: &str) -> Option<&str> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(end)?;
    digits.parse::<u64>().ok().map(|_| rest)
}

/// What follows one of `tags` and perhaps its number; all of the text where it begins with none.
fn after_tag<'a>(text: &'a str, tags: &[&str]) -> &'a str {
    let tag = text.strip_prefix(SEPARATORS).unwrap_or(text);
    let Some(rest) = tags.iter().find_map(|name| tag.strip_prefix(name)) else {
        return text;
    };
    let number = rest.strip_prefix(SEPARATORS).unwrap_or(rest);
    after_number(number).unwrap_or(rest)
}
