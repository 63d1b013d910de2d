use std::fmt;

/// A bare host name in lower case, perhaps with `*.` before it: an entry of `allowed_hosts`, or a pattern
/// that such entries are held against.
///
/// ```
/// use envgate::environment::HostPattern;
///
/// let pattern = HostPattern::parse("*.Example.com").unwrap();
/// for (host, is_covered) in [
///     ("api.example.com", true),
///     ("*.eu.example.com", true),
///     ("*.example.com", true),
///     ("example.com", false),
///     ("evilexample.com", false),
/// ] {
///     assert_eq!(pattern.covers(&HostPattern::parse(host).unwrap()), is_covered, "{host}");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    is_wildcard: bool,
    name: String,
}

/// The text is no bare host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a bare host name, such as \"api.example.com\" or \"*.example.com\"")]
pub struct NotAHost;

/// The longest name and the longest label of the domain name system.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

impl HostPattern {
    /// Takes a host name; capitals become small letters.
    ///
    /// # Errors
    /// [`NotAHost`] for a scheme, a port, a path, a dot at the end, a wildcard anywhere but in front, or
    /// letters that are not ASCII.
    pub fn parse(text: &str) -> Result<Self, NotAHost> {
        let (name, is_wildcard) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        if text.len() > MAX_NAME || !name.split('.').all(is_label) {
            return Err(NotAHost);
        }
        Ok(Self {
            is_wildcard,
            name: name.to_ascii_lowercase(),
        })
    }

    /// Whether every host that `other` stands for is one that this stands for. A wildcard stands for every
    /// subdomain, at any depth, and not for the name itself.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        if !self.is_wildcard {
            return self == other;
        }
        let is_below = || {
            other
                .name
                .strip_suffix(&self.name)
                .is_some_and(|before| before.ends_with('.'))
        };
        self == other || is_below()
    }
}

/// The last labels of names that are never somebody's on the public internet: what the registries of special
/// use have (RFC 6761, 6762, 7686, 8375, 9476), and what networks at home and at work are called by habit.
const PRIVATE_ENDS: [&str; 18] = [
    "alt",
    "arpa",
    "corp",
    "example",
    "home",
    "internal",
    "intern",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "test",
    "workgroup",
];

impl HostPattern {
    /// Whether all hosts that this stands for are names on the public internet: not an address, however it is
    /// written, no single label, no name of private or special use, and no wildcard of a whole top-level
    /// domain. Where a name points is not asked.
    ///
    /// ```
    /// use envgate::environment::HostPattern;
    ///
    /// for (host, is_public) in [("api.example.com", true), ("127.1", false), ("db.internal", false), ("*.com", false)] {
    ///     assert_eq!(HostPattern::parse(host).unwrap().is_public(), is_public, "{host}");
    /// }
    /// ```
    #[must_use]
    pub fn is_public(&self) -> bool {
        let Some((_, end)) = self.name.rsplit_once('.') else {
            return false;
        };
        // No top-level domain has a digit but in the form xn--; what ends in a number is an address (WHATWG).
        let is_top_level =
            end.starts_with("xn--") || (end.len() >= 2 && end.bytes().all(|byte| byte.is_ascii_alphabetic()));
        is_top_level && !PRIVATE_ENDS.contains(&end)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wildcard = if self.is_wildcard { "*." } else { "" };
        write!(f, "{wildcard}{}", self.name)
    }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    #[test]
    fn a_name_covers_itself_alone() {
        for (pattern, other, is_covered) in [
            ("a.com", "A.COM", true),
            ("a.com", "b.a.com", false),
            ("a.com", "*.a.com", false),
            ("*.a.com", "a.com", false),
            ("*.a.com", "*.com", false),
            ("*.a.com", "c.b.a.com", true),
            ("*.b.a.com", "*.a.com", false),
            ("10.0.0.1", "10.0.0.1", true),
        ] {
            assert_eq!(
                host(pattern).covers(&host(other)),
                is_covered,
                "{pattern} and {other}"
            );
        }
    }

    #[test]
    fn public_are_names_and_neither_addresses_nor_names_of_private_networks() {
        for text in [
            "example.com",
            "*.example.com",
            "API.example.co.uk",
            "xn--bcher-kva.example.org",
            "a.xn--p1ai",
        ] {
            assert!(host(text).is_public(), "{text}");
        }
        for text in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0X7F.0.0.0x1",
            "017700000001",
            "169.254.169.254",
            "10.0.0.1",
            "*.0.0.1",
            "localhost",
            "a.localhost",
            "metadata",
            "printer.local",
            "metadata.google.internal",
            "db.svc.cluster.local",
            "router.home.arpa",
            "1.0.0.127.in-addr.arpa",
            "wiki.corp",
            "nas.lan",
            "x.onion",
            "a.test",
            "*.com",
            "*.internal",
            "a.c",
            "a.b2",
        ] {
            assert!(!host(text).is_public(), "{text}");
        }
        assert!(HostPattern::parse("[::1]").is_err() && HostPattern::parse("::1").is_err());
    }

    #[test]
    fn what_is_no_bare_host_name_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            ".a.com",
            "a.com.",
            "a..com",
            "*.*.com",
            "a.*.com",
            "*a.com",
            "https://a.com",
            "a.com:443",
            "a.com/x",
            "a com",
            "a.com\n",
            " a.com",
            "user@a.com",
            "-a.com",
            "a-.com",
            "a_b.com",
            "а.com",
            "ａ.com",
            "[::1]",
            "a.com\0",
            "a.com#b",
            "a.com\\@b.com",
        ] {
            assert_eq!(HostPattern::parse(text), Err(NotAHost), "{text:?}");
        }
        assert!(HostPattern::parse(&format!("{}.com", "a".repeat(64))).is_err());
        assert!(HostPattern::parse(&"a.".repeat(127).trim_end_matches('.').repeat(2)).is_err());
    }

    proptest! {
        #[test]
        fn what_a_wildcard_covers_is_below_it(name in "[a-c]{1,2}(\\.[a-c]{1,2}){0,3}", other in "(\\*\\.)?[a-c]{1,2}(\\.[a-c]{1,2}){0,4}") {
            let (pattern, other) = (host(&format!("*.{name}")), host(&other));
            if pattern.covers(&other) {
                let end = format!(".{name}");
                prop_assert!(other.to_string().ends_with(&end));
            }
        }
    }
}
