//! `Forwarded` (RFC 7239) and `X-Forwarded-For`, read from the end: there stands what the nearest proxy
//! wrote, and before it what others claim.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The elements of a list, the last one first, without the empty ones. A comma in quotes parts nothing;
/// quotes are counted from the end too, so that one that is opened and never closed by whoever wrote first
/// does not take in what others wrote after it.
pub(super) fn elements_from_end(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(line);
    std::iter::from_fn(move || {
        let (rest, element) = split_last(left?, b',');
        left = rest;
        Some(element.trim_ascii())
    })
    .filter(|element| !element.is_empty())
}

/// The address of an element of `Forwarded`: the value of its one parameter `for`.
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let mut left = Some(element);
    let mut found = None;
    while let Some(bytes) = left {
        let (rest, pair) = split_last(bytes, b';');
        left = rest;
        let equals = pair.iter().position(|byte| *byte == b'=');
        let Some((name, [_, value @ ..])) = equals.and_then(|at| pair.split_at_checked(at)) else {
            continue;
        };
        if !name.trim_ascii().eq_ignore_ascii_case(b"for") {
            continue;
        }
        if found.is_some() {
            return None;
        }
        found = Some(unquoted(value.trim_ascii())?);
    }
    node(found?)
}

/// The address of a node: of an IPv6 address in brackets or without, either with a port behind it. None of
/// `unknown`, of a name, and of all that is nothing.
pub(super) fn node(bytes: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(bytes).ok()?;
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            if !port.is_empty() && !is_port(port.strip_prefix(':')?) {
                return None;
            }
            IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
        }
        None => match text.split_once(':') {
            Some((address, port)) if is_port(port) => IpAddr::V4(address.parse::<Ipv4Addr>().ok()?),
            _ => text.parse().ok()?,
        },
    };
    Some(address.to_canonical())
}

/// A number, or a name that hides one.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !name.is_empty() && name.bytes().all(is_of_name)
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// What stands in quotes, or the text itself where there are none. What is escaped is no address.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value {
        [b'"', inner @ .., b'"'] => Some(inner),
        value => (!value.contains(&b'"')).then_some(value),
    }
}

/// Splits at the last separator that is not in quotes: what stands before it, if it is there, and after it.
fn split_last(bytes: &[u8], separator: u8) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    for (at, byte) in bytes.iter().enumerate().rev() {
        let before = bytes.get(..at).unwrap_or_default();
        if *byte == b'"' && !(is_quoted && is_escaped(before)) {
            is_quoted = !is_quoted;
        } else if *byte == separator && !is_quoted {
            return (Some(before), bytes.get(at + 1..).unwrap_or_default());
        }
    }
    (None, bytes)
}

/// Whether what follows these bytes has a backslash before it that is not escaped itself.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    backslashes % 2 == 1
}
