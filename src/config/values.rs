//! What a written value means: each function takes one form and says what it expected.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;

use super::admin::Rights;
use super::errors::Problem;
use super::log::LogFormat;
use super::networks::{Network, Networks};
use super::plan::Install;
use super::settings::ClientAddressHeader;
use super::tls::TlsVersion;
use super::tree::{Raw, WrittenValue};
use crate::contract::{BetaRules, Dialect, Operation, Rule, StampKey};
use crate::environment::{HostPattern, Scope};
use crate::text::{Ratio, nearest_name, parse_duration};

const LONGEST: Duration = Duration::from_secs(60 * 60);
/// From the time between two looks for old records to what anybody could mean.
const RETENTION: RangeInclusive<Duration> =
    Duration::from_secs(60 * 60)..=Duration::from_secs(100 * 366 * 24 * 60 * 60);

pub(super) fn text(raw: &Raw) -> Result<&str, Problem> {
    match raw {
        Raw::Text(text) | Raw::String(text) => Ok(text),
        _ => Err(wrong_type("a string", raw)),
    }
}

pub(super) fn boolean(raw: &Raw) -> Result<bool, Problem> {
    match raw {
        Raw::Boolean(truth) => Ok(*truth),
        Raw::Text(_) => choice(raw, &["true", "false"], &[true, false]),
        _ => Err(wrong_type("true or false", raw)),
    }
}

/// A count or a size within `range`.
pub(super) fn integer(raw: &Raw, range: RangeInclusive<u32>) -> Result<usize, Problem> {
    let out_of_range = || Problem::OutOfRange {
        least: u64::from(*range.start()),
        most: u64::from(*range.end()),
    };
    let number = match raw {
        Raw::Integer(number) => *number,
        Raw::Text(text) => text.parse().map_err(|_| out_of_range())?,
        _ => return Err(wrong_type("an integer", raw)),
    };
    u32::try_from(number)
        .ok()
        .filter(|number| range.contains(number))
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(out_of_range)
}

/// A limit: a whole number, or none where it is `unlimited`. Zero would let nothing through, ever.
pub(super) fn limit(raw: &Raw) -> Result<Option<u32>, Problem> {
    const MOST: u32 = 1_000_000;
    let number = match raw {
        Raw::Text(text) | Raw::String(text) if text == "unlimited" => return Ok(None),
        Raw::Integer(number) => u32::try_from(*number).ok(),
        Raw::Text(text) => text.parse().ok(),
        _ => None,
    };
    let limit = number.filter(|number| (1..=MOST).contains(number));
    limit.map(Some).ok_or(Problem::NotLimit { most: MOST })
}

pub(super) fn weight(raw: &Raw) -> Result<NonZeroU16, Problem> {
    const MOST: u16 = 1000;
    let weight = integer(raw, 1..=u32::from(MOST))?;
    let weight = u16::try_from(weight).ok().and_then(NonZeroU16::new);
    weight.ok_or(Problem::OutOfRange {
        least: 1,
        most: u64::from(MOST),
    })
}

/// A share, from 0 to 1.
pub(super) fn ratio(raw: &Raw) -> Result<Ratio, Problem> {
    let ratio = match raw {
        Raw::Text(text) | Raw::Float(text) => Ratio::parse(text),
        Raw::Integer(number) => Ratio::parse(&number.to_string()),
        _ => return Err(wrong_type("a number", raw)),
    };
    ratio.ok_or(Problem::NotRatio)
}

/// `500ms`, `10s` or `2m`; never zero, an hour at most.
pub(super) fn duration(raw: &Raw) -> Result<Duration, Problem> {
    parse_duration(text(raw)?)
        .filter(|duration| !duration.is_zero() && *duration <= LONGEST)
        .ok_or(Problem::NotDuration)
}

/// A duration, or `off` for none at all.
pub(super) fn duration_or_off(raw: &Raw) -> Result<Duration, Problem> {
    if text(raw)? == "off" {
        return Ok(Duration::ZERO);
    }
    duration(raw)
}

/// A duration, or none at all: `0s`.
pub(super) fn duration_or_zero(raw: &Raw) -> Result<Duration, Problem> {
    match parse_duration(text(raw)?) {
        Some(Duration::ZERO) => Ok(Duration::ZERO),
        _ => duration(raw),
    }
}

/// `90d` or `12h`, an hour at least; none for `forever`.
pub(super) fn retention(raw: &Raw) -> Result<Option<Duration>, Problem> {
    let text = text(raw)?;
    if text == "forever" {
        return Ok(None);
    }
    parse_duration(text)
        .filter(|duration| RETENTION.contains(duration))
        .map(Some)
        .ok_or(Problem::NotRetention)
}

pub(super) fn path(raw: &Raw) -> Result<PathBuf, Problem> {
    let text = text(raw)?;
    Some(text)
        .filter(|text| !text.is_empty())
        .map(PathBuf::from)
        .ok_or(Problem::NotPath)
}

pub(super) fn folder(raw: &Raw) -> Result<PathBuf, Problem> {
    path(raw).map_err(|problem| match problem {
        Problem::NotPath => Problem::NotFolder,
        other => other,
    })
}

pub(super) fn network(raw: &Raw) -> Result<Network, Problem> {
    Ok(text(raw)?.parse::<Network>()?)
}

/// Networks as an environment variable has them, with commas.
pub(super) fn networks(raw: &Raw) -> Result<Networks, Problem> {
    let network = |text: &str| text.trim().parse::<Network>().map_err(Problem::from);
    match raw {
        Raw::Text(text) if text.trim().is_empty() => Ok(Networks::default()),
        Raw::Text(text) => text.split(',').map(network).collect(),
        _ => Err(wrong_type("an array", raw)),
    }
}

/// A path of its own: visible, without what a path cannot have as it is, and outside the API.
pub(super) fn health_path(raw: &Raw) -> Result<String, Problem> {
    let text = text(raw)?;
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#%\\\"<>^`{|}".contains(&byte);
    let is_path = text.len() > 1 && text.starts_with('/') && !text.starts_with("//");
    Some(text)
        .filter(|text| is_path && text.bytes().all(is_plain) && !text.starts_with("/v1/"))
        .map(str::to_owned)
        .ok_or(Problem::NotHealthPath)
}

pub(super) fn client_address_header(raw: &Raw) -> Result<Option<ClientAddressHeader>, Problem> {
    choice(
        raw,
        &["none", "forwarded", "x-forwarded-for"],
        &[
            None,
            Some(ClientAddressHeader::Forwarded),
            Some(ClientAddressHeader::XForwardedFor),
        ],
    )
}

pub(super) fn address(raw: &Raw) -> Result<SocketAddr, Problem> {
    text(raw)?.parse().map_err(|_| Problem::NotAddress)
}

pub(super) fn dialect(raw: &Raw) -> Result<&'static Dialect, Problem> {
    choice(
        raw,
        &[Dialect::SANDBASE.name, Dialect::ANTHROPIC.name],
        &[&Dialect::SANDBASE, &Dialect::ANTHROPIC],
    )
}

pub(super) fn rule(raw: &Raw) -> Result<Rule, Problem> {
    choice(
        raw,
        &["reject", "warn", "allow"],
        &[Rule::Reject, Rule::Warn, Rule::Allow],
    )
}

pub(super) fn stamp_key(raw: &Raw) -> Result<StampKey, Problem> {
    Ok(StampKey::parse(text(raw)?)?)
}

/// What whoever comes with a token may do.
pub(super) fn rights(raw: &Raw) -> Result<Rights, Problem> {
    choice(raw, &["read", "keys", "all"], &Rights::ALL)
}

/// The same of whoever comes with a certificate alone; `none` for nothing.
pub(super) fn client_rights(raw: &Raw) -> Result<Option<Rights>, Problem> {
    let [read, keys, all] = Rights::ALL.map(Some);
    choice(raw, &["none", "read", "keys", "all"], &[None, read, keys, all])
}

pub(super) fn log_format(raw: &Raw) -> Result<LogFormat, Problem> {
    choice(raw, &["text", "json"], &[LogFormat::Text, LogFormat::Json])
}

pub(super) fn log_level(raw: &Raw) -> Result<String, Problem> {
    let text = text(raw)?;
    check_log_level(text)?;
    Ok(text.to_owned())
}

/// Looks at what is to be logged: a level or directives. A lone word is a level: as a directive, a misspelt one would
/// be the name of a module and silence everything else.
///
/// # Errors
/// What was expected.
pub fn check_log_level(text: &str) -> Result<(), Problem> {
    const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
    if !text.contains(['=', ',']) {
        return choice_of(text, LEVELS, LEVELS).map(drop);
    }
    let is_directive = |directive: &str| {
        let (target, level) = directive.split_once('=').unwrap_or(("", directive));
        let is_target = target
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-'));
        is_target && (directive.starts_with(|first| first != '=')) && LEVELS.contains(&level)
    };
    if text.split(',').all(is_directive) {
        Ok(())
    } else {
        Err(Problem::NotDirectives)
    }
}

pub(super) fn operation(raw: &Raw) -> Result<Operation, Problem> {
    choice(raw, &Operation::NAMES, &Operation::ALL)
}

/// The name of a beta.
pub(super) fn beta(raw: &Raw) -> Result<HeaderValue, Problem> {
    let text = text(raw)?;
    Some(text)
        .filter(|text| BetaRules::is_name(text))
        .and_then(|text| HeaderValue::from_str(text).ok())
        .ok_or(Problem::NotBeta)
}

/// A value for `anthropic-workspace-id`.
pub(super) fn workspace_id(raw: &Raw) -> Result<HeaderValue, Problem> {
    let text = text(raw)?;
    Some(text)
        .filter(|text| (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()))
        .and_then(|text| HeaderValue::from_str(text).ok())
        .ok_or(Problem::NotWorkspace)
}

pub(super) fn needs_limited_network(raw: &Raw) -> Result<bool, Problem> {
    choice(raw, &["any", "limited"], &[false, true])
}

pub(super) fn tls_version(raw: &Raw) -> Result<TlsVersion, Problem> {
    choice(raw, &["1.2", "1.3"], &[TlsVersion::Tls12, TlsVersion::Tls13])
}

pub(super) fn is_required(raw: &Raw) -> Result<bool, Problem> {
    choice(raw, &["required", "optional"], &[true, false])
}

pub(super) fn needs_public_hosts(raw: &Raw) -> Result<bool, Problem> {
    choice(raw, &["any", "public"], &[false, true])
}

/// Whether a preset is named: there is one.
pub(super) fn preset(raw: &Raw) -> Result<(), Problem> {
    choice(raw, &["locked"], &[()])
}

pub(super) fn host(raw: &Raw) -> Result<HostPattern, Problem> {
    Ok(HostPattern::parse(text(raw)?)?)
}

pub(super) fn config_type(raw: &Raw) -> Result<&'static str, Problem> {
    const TYPES: &[&str] = &["cloud", "self_hosted"];
    choice(raw, TYPES, TYPES)
}

pub(super) fn scope(raw: &Raw) -> Result<Scope, Problem> {
    choice(
        raw,
        &["organization", "account"],
        &[Scope::Organization, Scope::Account],
    )
}

pub(super) fn install(raw: &Raw) -> Result<Install, Problem> {
    choice(
        raw,
        &["any", "pinned", "off"],
        &[Install::Any, Install::Pinned, Install::Off],
    )
}

/// The elements of a list, each with its location.
pub(super) fn list(raw: &Raw) -> Result<&[WrittenValue], Problem> {
    match raw {
        Raw::List(elements) => Ok(elements),
        _ => Err(wrong_type("an array", raw)),
    }
}

pub(super) fn choice<T: Copy>(raw: &Raw, names: &'static [&'static str], values: &[T]) -> Result<T, Problem> {
    choice_of(text(raw)?, names, values)
}

fn choice_of<T: Copy>(text: &str, names: &'static [&'static str], values: &[T]) -> Result<T, Problem> {
    names
        .iter()
        .zip(values)
        .find(|(name, _)| **name == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let nearest = nearest_name(text, names.iter().copied()).map(str::to_owned);
            Problem::NotOneOf {
                allowed: names,
                nearest,
            }
        })
}

fn wrong_type(expected: &'static str, raw: &Raw) -> Problem {
    Problem::WrongType {
        expected,
        found: raw.kind(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::load::tests::{faults, settings};

    #[test]
    fn a_retention_is_an_hour_or_more_or_forever() {
        let retention = |written: &str| {
            settings(&format!("audit.retention = \"{written}\""), &[])
                .audit
                .retention
        };
        assert_eq!(retention("forever"), None);
        assert_eq!(retention("1h"), Some(Duration::from_secs(60 * 60)));
        assert_eq!(
            retention("36600d"),
            Some(Duration::from_secs(36_600 * 24 * 60 * 60))
        );
        for written in [
            "59m",
            "36601d",
            "99999999999999999999d",
            "999999999999999999d",
            "90",
            "ever",
            "",
        ] {
            assert_eq!(
                faults(
                    &format!("audit.retention = \"{written}\"\naudit.file = \"\""),
                    &[]
                ),
                [
                    "envgate.toml:1:19: audit.retention: expected \"forever\", or a duration from 1h to 36600d: a whole number and h or d, such as \"90d\"",
                    "envgate.toml:2:14: audit.file: expected the path of a file",
                ],
                "{written}"
            );
        }
    }
}
