//! Values that must not be seen: where they may come from, and what they may be.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

use super::errors::Problem;
use super::postgres;
use super::tree::Raw;
use crate::text::Secret;

/// The credential of an upstream; `variable` is what sets it in the environment.
pub(super) fn credential(
    raw: &Raw,
    variable: Option<String>,
    environment: &BTreeMap<String, String>,
) -> Result<Secret, Problem> {
    if let Raw::String(_) = raw {
        return Err(Problem::PlainSecret { variable });
    }
    let value = resolve(raw, environment)?;
    let is_legal = value.bytes().all(|byte| byte.is_ascii_graphic());
    if is_legal {
        Ok(Secret::new(value))
    } else {
        Err(Problem::IllegalSecret)
    }
}

/// Longer is no secret, but the wrong file.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The variable in which systemd says where it has put the credentials of a unit.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The shortest token: as many characters as nobody tries in a lifetime, where they are random.
const SHORTEST_TOKEN: usize = 16;

/// A secret that somebody made up, to be let in with.
pub(super) fn token(
    raw: &Raw,
    variable: Option<String>,
    environment: &BTreeMap<String, String>,
) -> Result<Secret, Problem> {
    let token = credential(raw, variable, environment)?;
    if token.reveal().len() >= SHORTEST_TOKEN {
        Ok(token)
    } else {
        Err(Problem::ShortToken {
            least: SHORTEST_TOKEN,
        })
    }
}

/// The URL of Redis.
pub(super) fn redis_url(
    raw: &Raw,
    variable: Option<String>,
    environment: &BTreeMap<String, String>,
) -> Result<Secret, Problem> {
    let value = url(raw, variable, environment)?;
    check_password(&value)?;
    Url::parse(&value)
        .ok()
        .filter(|url| match url.scheme() {
            "redis" | "rediss" => {
                let database = url.path().trim_matches('/');
                url.has_host() && (database.is_empty() || database.parse::<u32>().is_ok())
            }
            "unix" | "redis+unix" => !url.has_host() && url.path().len() > 1,
            _ => false,
        })
        .map(|_| Secret::new(value))
        .ok_or(Problem::NotRedis)
}

/// The URL of the store.
pub(super) fn store_url(
    raw: &Raw,
    variable: Option<String>,
    environment: &BTreeMap<String, String>,
) -> Result<Secret, Problem> {
    let value = url(raw, variable, environment)?;
    let names_a_file = value.strip_prefix("sqlite:").is_some_and(|path| !path.is_empty());
    if !names_a_file {
        check_password(&value)?;
        postgres::check_url(&value)?;
    }
    Ok(Secret::new(value))
}

/// Where a PostgreSQL is listened to.
pub(super) fn listen_url(
    raw: &Raw,
    variable: Option<String>,
    environment: &BTreeMap<String, String>,
) -> Result<Secret, Problem> {
    let value = url(raw, variable, environment)?;
    check_password(&value)?;
    postgres::check_url(&value).map_err(|problem| match problem {
        Problem::NotStore => Problem::NotListenUrl,
        other => other,
    })?;
    Ok(Secret::new(value))
}

/// The URL of a proxy, or a word that stands for one. Only a URL with a user in it has to be a secret.
pub(super) fn proxy_url(
    raw: &Raw,
    variable: Option<String>,
    environment: &BTreeMap<String, String>,
) -> Result<String, Problem> {
    let value = match raw {
        Raw::String(text) if text.contains('@') => return Err(Problem::PlainSecret { variable }),
        Raw::String(text) => text.clone(),
        _ => resolve(raw, environment)?,
    };
    check_password(&value)?;
    Ok(value)
}

/// A URL, which may be plain as long as no password is in it.
fn url(
    raw: &Raw,
    variable: Option<String>,
    environment: &BTreeMap<String, String>,
) -> Result<String, Problem> {
    match raw {
        Raw::String(text) if has_password(text) => Err(Problem::PlainSecret { variable }),
        Raw::String(text) => Ok(text.clone()),
        _ => resolve(raw, environment),
    }
}

/// A value that must not be shown, wherever it comes from; none where it cannot be had.
pub(super) fn value(raw: &Raw, environment: &BTreeMap<String, String>) -> Option<String> {
    match raw {
        Raw::String(text) => Some(text.clone()),
        _ => resolve(raw, environment).ok(),
    }
}

/// The value behind `{ env = "NAME" }`, `{ file = "path" }` or `{ credential = "name" }`, or of the setting's own
/// variable.
pub(super) fn resolve(raw: &Raw, environment: &BTreeMap<String, String>) -> Result<String, Problem> {
    let value = match raw {
        Raw::Text(value) => value.clone(),
        Raw::Table(table) => referred(table, environment)?,
        _ => return Err(Problem::NotSecret),
    };
    if value.is_empty() {
        Err(Problem::EmptySecret)
    } else {
        Ok(value)
    }
}

fn referred(
    table: &BTreeMap<String, Raw>,
    environment: &BTreeMap<String, String>,
) -> Result<String, Problem> {
    let mut entries = table.iter();
    let (Some((source, Raw::String(name))), None) = (entries.next(), entries.next()) else {
        return Err(Problem::NotSecret);
    };
    match source.as_str() {
        "env" => environment
            .get(name)
            .cloned()
            .ok_or_else(|| Problem::SecretVariableMissing(name.to_owned())),
        "file" => read(Path::new(name)),
        "credential" => read(&credential_file(name, environment)?),
        _ => Err(Problem::NotSecret),
    }
}

/// Without the line break that editors leave at the end.
fn read(path: &Path) -> Result<String, Problem> {
    let unreadable = |error: io::Error| Problem::SecretFileUnreadable {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let mut content = Zeroizing::new(String::new());
    // Not by its size, which a pipe does not have.
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut content));
    let size = read.map_err(unreadable)?;
    if u64::try_from(size).map_or(true, |size| size > MAX_FILE_BYTES) {
        return Err(unreadable(io::Error::other(format!(
            "it is larger than {MAX_FILE_BYTES} bytes"
        ))));
    }
    Ok(content.trim_end_matches(['\r', '\n']).to_owned())
}

/// Where systemd has put a credential of the unit.
fn credential_file(name: &str, environment: &BTreeMap<String, String>) -> Result<PathBuf, Problem> {
    let is_name = !matches!(name, "" | "." | "..") && !name.contains('/');
    if !is_name {
        return Err(Problem::NotCredentialName);
    }
    let directory = environment
        .get(CREDENTIALS_DIRECTORY)
        .ok_or_else(|| Problem::NoCredentialsDirectory(name.to_owned()))?;
    Ok(Path::new(directory).join(name))
}

/// The file that a secret is read from, where it is read from one.
pub(super) fn file(table: &BTreeMap<String, Raw>, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    match table.iter().next()? {
        (source, Raw::String(path)) if source == "file" => Some(PathBuf::from(path)),
        (source, Raw::String(name)) if source == "credential" => credential_file(name, environment).ok(),
        _ => None,
    }
}

/// Refuses a URL with a user or password that has a character in it which ends one: something else would be
/// read.
fn check_password(text: &str) -> Result<(), Problem> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let before_query = rest.split_once('?').map_or(rest, |(before, _)| before);
    let authority = if before_query.contains(['@', '/']) {
        before_query
    } else {
        rest
    };
    let Some((user_and_password, _)) = authority.rsplit_once('@') else {
        return Ok(());
    };
    let mut percents = user_and_password.split('%').skip(1);
    let is_code = |after: &str| after.bytes().take_while(u8::is_ascii_hexdigit).take(2).count() == 2;
    if user_and_password.contains(['@', '#', '/', '?']) || !percents.all(is_code) {
        return Err(Problem::PasswordNotEncoded);
    }
    Ok(())
}

fn has_password(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        // A socket's URL has it in the query, as `pass`.
        url.password().is_some()
            || url
                .query_pairs()
                .any(|(name, _)| name.contains("password") || name == "pass")
    })
}

#[cfg(test)]
mod tests;
