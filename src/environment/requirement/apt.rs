//! `apt-get install`: `name`, `name=version`, `name:architecture`, `name:architecture=version`.
//!
//! Names are those of the Debian policy, section 5.6.7. Left out of what apt takes: `name/release`, `name-`
//! (which removes), `task^`, files, and versions with wildcards.

use super::{Grammar, is_word};

pub(super) const GRAMMAR: Grammar = Grammar {
    name,
    requirement,
    form: "a package of apt as name, name=version or name:architecture, such as \"ffmpeg\"",
};

/// Longer than any name in Debian.
const LONGEST_NAME: usize = 128;

const ARCHITECTURES: [&str; 12] = [
    "all", "amd64", "any", "arm64", "armel", "armhf", "i386", "mips64el", "native", "ppc64el", "riscv64",
    "s390x",
];

fn name(text: &str) -> Option<String> {
    let is_inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'.' | b'-');
    // Names such as g++ end in a plus; one that ends in a hyphen would be taken away.
    let is_good = (2..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(is_inner)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric() || last == '+');
    is_good.then(|| text.to_owned())
}

fn requirement(entry: &str) -> Option<(&str, bool)> {
    let (package, version) = match entry.split_once('=') {
        Some((package, version)) => (package, Some(version)),
        None => (entry, None),
    };
    let is_version =
        |version: &str| is_word(version, |byte| matches!(byte, b'.' | b'+' | b'~' | b':' | b'-'));
    if !version.is_none_or(is_version) {
        return None;
    }
    let name = match package.split_once(':') {
        Some((name, architecture)) => ARCHITECTURES.contains(&architecture).then_some(name)?,
        None => package,
    };
    Some((name, version.is_some()))
}
