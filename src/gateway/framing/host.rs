use std::net::Ipv6Addr;

/// Whether this is a host with or without a port (RFC 3986 §3.2), and nothing that somebody could take for
/// more: no user, no path, no list.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', ..] => {
            let end = value.iter().position(|byte| *byte == b']');
            let Some((address, rest)) = end.and_then(|end| value.split_at_checked(end + 1)) else {
                return false;
            };
            match rest {
                [] => (address, None),
                [b':', port @ ..] => (address, Some(port)),
                _ => return false,
            }
        }
        _ => match value.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (host, port) = value.split_at_checked(colon).unwrap_or_default();
                (host, port.get(1..))
            }
            None => (value, None),
        },
    };
    is_name_or_address(host) && port.is_none_or(is_port)
}

/// None at all is one too: the port of the scheme.
fn is_port(port: &[u8]) -> bool {
    let digits = std::str::from_utf8(port).unwrap_or("-");
    digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits.is_empty() || digits.parse::<u16>().is_ok())
}

fn is_name_or_address(host: &[u8]) -> bool {
    match host {
        [] => false,
        [b'[', address @ .., b']'] => {
            std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }
        name => name.iter().all(|byte| is_name_byte(*byte)) && has_whole_escapes(name),
    }
}

/// The bytes of a registered name, without the comma, which would make a list of it.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

fn has_whole_escapes(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let digits = rest.get(at + 1..at + 3).unwrap_or_default();
        if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        rest = rest.get(at + 3..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for host in [
            "a",
            "example.com",
            "example.com:443",
            "example.com:",
            "127.0.0.1:8080",
            "a_b-c.~d",
            "[::1]",
            "[::1]:80",
            "a%20b",
            "x:0",
            "x:65535",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn what_could_be_taken_for_more_is_none() {
        for host in [
            "", ":80", "a/", "a/b", "a,b", "a:b", "a:80:90", "a:65536", "a:+80", "a:-1", "u@a", "a b",
            "a\tb", "[::1", "[::1]x", "[]", "[g::]", "::1", "a%2", "a%zz", "a?b", "a#b", "a\\b", "\u{e9}",
            "a\0",
        ] {
            assert!(!is_host(host.as_bytes()), "{host:?}");
        }
    }
}
