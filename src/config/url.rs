use std::fmt;

use url::{Host, Url};

use super::settings::UpstreamUrl;

/// Why a text is no base URL of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Another scheme, no host, or characters that a URL does not have.
    #[error("expected https:// or http:// and a host, such as \"https://api.anthropic.com\"")]
    Malformed,
    /// A user name or a password stands before the host.
    #[error("a user name or password has no place in the URL; the key is upstream.credential")]
    UserInfo,
    /// There is a query.
    #[error("a base URL has no query")]
    Query,
    /// There is a fragment.
    #[error("a base URL has no fragment")]
    Fragment,
    /// The path ends in the version that every request path begins with.
    #[error("leave out the /v1 at the end, every path begins with it already")]
    Version,
}

impl UpstreamUrl {
    /// Takes a base URL apart.
    ///
    /// # Errors
    /// The first [`UrlFault`] of the text; none of them shows the text, which may hold a secret.
    ///
    /// ```
    /// use envgate::config::UpstreamUrl;
    ///
    /// let url = UpstreamUrl::parse("http://[::1]:3000/proxy/").unwrap();
    /// assert_eq!((url.host.as_str(), url.port, url.path_prefix.as_str()), ("::1", 3000, "/proxy"));
    /// assert!(UpstreamUrl::parse("https://").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        // The parser of the WHATWG repairs what a browser would; in settings a repair would hide a mistake.
        let after_scheme = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let is_clean =
            |rest: &str| !rest.starts_with('/') && rest.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        if !after_scheme.is_some_and(is_clean) {
            return Err(UrlFault::Malformed);
        }
        let url = Url::parse(text).map_err(|_| UrlFault::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::UserInfo);
        }
        if url.query().is_some() {
            return Err(UrlFault::Query);
        }
        if url.fragment().is_some() {
            return Err(UrlFault::Fragment);
        }
        let path_prefix = url.path().trim_end_matches('/');
        if path_prefix.ends_with("/v1") {
            return Err(UrlFault::Version);
        }
        let host = match url.host().ok_or(UrlFault::Malformed)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        Ok(Self {
            is_tls: url.scheme() == "https",
            host,
            port: url
                .port_or_known_default()
                .filter(|port| *port != 0)
                .ok_or(UrlFault::Malformed)?,
            path_prefix: path_prefix.to_owned(),
        })
    }

    /// Whether the host is this machine by its name or address alone, without asking anybody.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let is_loopback_address =
            |host: &str| host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.host == "localhost" || is_loopback_address(&self.host)
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual_port) = if self.is_tls { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://")?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            write!(f, "{}", self.host)?;
        }
        if self.port != usual_port {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path_prefix)
    }
}
