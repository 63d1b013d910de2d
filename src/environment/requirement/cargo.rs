//! `cargo install`: `name`, `name@version`, where the version is exact, or a requirement that begins with its
//! operator.
//!
//! the Rust registry takes two names for the same that differ in case, or in `-` and `_`.

use super::{Grammar, semver};

pub(super) const GRAMMAR: Grammar = Grammar {
    name,
    requirement,
    form: "a package of cargo as name or name@version, such as \"ripgrep@14.0.0\"",
};

fn name(text: &str) -> Option<String> {
    let is_good = text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_good.then(|| text.to_ascii_lowercase().replace('_', "-"))
}

fn requirement(entry: &str) -> Option<(&str, bool)> {
    let Some((name, version)) = entry.split_once('@') else {
        return Some((entry, false));
    };
    let is_exact = semver::is_exact(version.strip_prefix('=').unwrap_or(version));
    let begins_well = version.starts_with(|first: char| first.is_ascii_digit() || "^~<>=*".contains(first));
    (begins_well && semver::is_range(version)).then_some((name, is_exact))
}
