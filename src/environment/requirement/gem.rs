//! `gem install`: `name`, `name:version`, where the version may be requirements such as `~>7.0` or `>=7,<8`.
//!
//! The form `name -v version` is two arguments and so no entry. RubyGems takes no new name that differs from
//! an old one in case alone.

use super::{Grammar, ends_in, is_word};

pub(super) const GRAMMAR: Grammar = Grammar {
    name,
    requirement,
    form: "a package of gem as name or name:version, such as \"rails:7.1.0\"",
};

/// The longest first, because each is tried in turn.
const OPERATORS: [&str; 7] = ["~>", ">=", "<=", "!=", "=", ">", "<"];

fn name(text: &str) -> Option<String> {
    let is_good = is_word(text, |byte| matches!(byte, b'.' | b'-' | b'_'))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        // gem would look for a file of that name first.
        && !ends_in(text, &[".gem"]);
    is_good.then(|| text.to_ascii_lowercase())
}

fn requirement(entry: &str) -> Option<(&str, bool)> {
    let Some((name, versions)) = entry.split_once(':') else {
        return Some((entry, false));
    };
    let is_requirement = |text: &str| {
        let operator = OPERATORS.iter().find_map(|operator| text.strip_prefix(operator));
        is_version(operator.unwrap_or(text))
    };
    let is_pinned = is_version(versions.strip_prefix('=').unwrap_or(versions));
    versions
        .split(',')
        .all(is_requirement)
        .then_some((name, is_pinned))
}

fn is_version(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && is_word(text, |byte| matches!(byte, b'.' | b'-'))
        && !text.contains("..")
}
