//! `npm install`: `name`, `@scope/name`, either with `@version`, `@range` or `@tag`.
//!
//! Names are those that the registry takes today, which have no capitals; the few old ones that do are
//! refused, for two that differ in case alone are two packages. Left out of what npm takes: aliases
//! (`name@npm:other`), files, URLs, `user/repository`, and ranges with spaces or `||`.

use super::{Grammar, ends_in, semver};

pub(super) const GRAMMAR: Grammar = Grammar {
    name,
    requirement,
    form: "a package of npm as name, @scope/name or either with @version, such as \"express@4.18.0\"",
};

/// The longest name that the registry takes, with its scope.
const LONGEST_NAME: usize = 214;
/// What npm takes for a file, wherever it stands.
const ARCHIVES: [&str; 3] = [".tgz", ".tar.gz", ".tar"];

fn name(text: &str) -> Option<String> {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._~".contains(&byte))
    };
    let is_good = match text.strip_prefix('@') {
        Some(scoped) => scoped
            .split_once('/')
            .is_some_and(|(scope, name)| is_part(scope) && is_part(name)),
        None => is_part(text),
    };
    (is_good && text.len() <= LONGEST_NAME && !ends_in(text, &ARCHIVES)).then(|| text.to_owned())
}

fn requirement(entry: &str) -> Option<(&str, bool)> {
    // The first character is the scope's sign, if it is one at all.
    let sign = entry.get(1..)?.find('@').map(|sign| sign + 1);
    let Some((name, version)) = sign.and_then(|sign| Some((entry.get(..sign)?, entry.get(sign + 1..)?)))
    else {
        return Some((entry, false));
    };
    let is_exact = {
        let version = version.strip_prefix('=').unwrap_or(version);
        semver::is_exact(version.strip_prefix('v').unwrap_or(version))
    };
    let is_tag = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let is_good = (semver::is_range(version) || is_tag(version)) && !ends_in(version, &ARCHIVES);
    is_good.then_some((name, is_exact))
}
