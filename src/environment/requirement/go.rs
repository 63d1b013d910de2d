//! `go install`: `path`, `path@version`, where the version is a query such as `v1.2.3`, `v1` or `latest`.
//!
//! The first element of a path is a domain, so the standard library, files and `./…` are no packages of a
//! registry; nor are patterns with `...`. Case is not told apart: the large hosts of modules do not either.

use super::{Grammar, is_word, semver};

pub(super) const GRAMMAR: Grammar = Grammar {
    name,
    requirement,
    form: "a package of go as path or path@version, such as \"golang.org/x/tools/cmd/goimports@latest\"",
};

fn name(text: &str) -> Option<String> {
    let mut elements = text.split('/');
    let host = elements.next()?;
    let is_host = host.contains('.') && host.split('.').all(|label| is_word(label, |byte| byte == b'-'));
    // As `module.CheckImportPath` of golang.org/x/mod has it: no dot at either end of an element.
    let is_element = |element: &str| {
        !element.is_empty()
            && !element.starts_with('.')
            && !element.ends_with('.')
            && element
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+'))
    };
    (is_host && elements.all(is_element)).then(|| text.to_ascii_lowercase())
}

fn requirement(entry: &str) -> Option<(&str, bool)> {
    let Some((path, version)) = entry.split_once('@') else {
        return Some((entry, false));
    };
    let is_query =
        is_word(version, |byte| matches!(byte, b'.' | b'+' | b'-' | b'_')) && !version.contains("..");
    let is_pinned = version.strip_prefix('v').is_some_and(semver::is_exact);
    is_query.then_some((path, is_pinned))
}
