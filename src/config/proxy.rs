//! The proxy before the upstream: which one a setting or the environment names, and which upstreams need none.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use data_encoding::BASE64;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::errors::Problem;
use super::networks::{Network, Networks};
use super::settings::UpstreamUrl;
use crate::text::Secret;

/// A proxy that makes tunnels by `CONNECT`. It displays without its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The host, without brackets where it is an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The value of `Proxy-Authorization`, where the URL has a user.
    pub authorization: Option<Secret>,
}

/// The way to the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxying {
    /// There is no proxy.
    #[default]
    None,
    /// There is none, although a variable names one and nobody said that it should not be used.
    Ignored {
        /// The variable.
        variable: &'static str,
    },
    /// The environment is asked, and names none.
    Unnamed,
    /// The environment is asked, and this upstream needs none: `NO_PROXY` says so, or it is on this machine.
    Excepted,
    /// Through this one.
    Through {
        /// The proxy.
        proxy: Proxy,
        /// The variable that names it; none where the setting does.
        variable: Option<&'static str>,
    },
}

/// The variables that name a proxy, those that go first before the others: lower case, as in most programs.
const FOR_TLS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const FOR_ALL: [&str; 2] = ["all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

const DEFAULT_PORT: u16 = 80;

impl Proxy {
    /// Takes the URL of a proxy apart; without a scheme it is `http://`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let text = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        let url = Url::parse(&text)
            .ok()
            .filter(|url| url.scheme() == "http" && matches!(url.path(), "" | "/"))
            .filter(|url| url.query().is_none() && url.fragment().is_none())
            .ok_or(Problem::NotProxy)?;
        let host = match url.host().ok_or(Problem::NotProxy)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port().unwrap_or(DEFAULT_PORT);
        if port == 0 {
            return Err(Problem::NotProxy);
        }
        Ok(Self {
            host,
            port,
            authorization: authorization(&url),
        })
    }
}

/// `Basic` (RFC 7617); none where the URL has no user.
fn authorization(url: &Url) -> Option<Secret> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    Some(Secret::new(format!("Basic {}", BASE64.encode(&pair))))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (&self.host, self.port);
        match host.contains(':') {
            true => write!(f, "http://[{host}]:{port}"),
            false => write!(f, "http://{host}:{port}"),
        }
    }
}

impl Proxying {
    /// The proxy, where there is one.
    #[must_use]
    pub const fn proxy(&self) -> Option<&Proxy> {
        match self {
            Self::Through { proxy, .. } => Some(proxy),
            Self::None | Self::Ignored { .. } | Self::Unnamed | Self::Excepted => None,
        }
    }

    /// What the environment says of the way to an upstream.
    pub(super) fn from_environment(
        environment: &BTreeMap<String, String>,
        upstream: &UpstreamUrl,
    ) -> Result<Self, Problem> {
        let variables: &[&'static str] = match upstream.is_tls {
            true => &FOR_TLS,
            false => &FOR_ALL,
        };
        let Some((variable, text)) = first_set(environment, variables) else {
            return Ok(Self::Unnamed);
        };
        let exceptions = first_set(environment, &EXCEPTIONS).map_or("", |(_, list)| list);
        if upstream.is_loopback() || is_excepted(exceptions, &upstream.host, upstream.port) {
            return Ok(Self::Excepted);
        }
        let proxy = Proxy::parse(text).map_err(|_| Problem::NotProxyVariable(variable))?;
        Ok(Self::Through {
            proxy,
            variable: Some(variable),
        })
    }

    /// The same where nobody has said whether the environment is to be asked: it is not, and that is told.
    pub(super) fn ignoring(environment: &BTreeMap<String, String>, upstream: &UpstreamUrl) -> Self {
        match Self::from_environment(environment, upstream) {
            Ok(Self::Through {
                variable: Some(variable),
                ..
            })
            | Err(Problem::NotProxyVariable(variable)) => Self::Ignored { variable },
            _ => Self::None,
        }
    }
}

/// The first of the variables that says something.
fn first_set<'e>(
    environment: &'e BTreeMap<String, String>,
    variables: &[&'static str],
) -> Option<(&'static str, &'e str)> {
    let mut set = variables.iter().filter_map(|variable| {
        let text = environment.get(*variable)?.trim();
        (!text.is_empty()).then_some((*variable, text))
    });
    set.next()
}

/// Whether a list of exceptions has the upstream: `*` is everything; a name is itself and all below it, with or
/// without `.` or `*.` before it; an address is itself, a block (`10.0.0.0/8`) all of its addresses; each may have
/// a port. What is none of these excepts nothing.
fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    list.split([',', ' ', '\t'])
        .map(|exception| exception.trim().to_ascii_lowercase())
        .filter(|exception| !exception.is_empty())
        .any(|exception| match address {
            _ if exception == "*" => true,
            Some(address) => covers_address(&exception, address, port),
            None => covers_name(&exception, &host, port),
        })
}

fn covers_address(exception: &str, address: IpAddr, port: u16) -> bool {
    let covers = |text: &str| {
        let network = text.trim_matches(['[', ']']).parse::<Network>();
        network.is_ok_and(|network| Networks::from_iter([network]).contains(address))
    };
    covers(exception)
        || exception
            .rsplit_once(':')
            .is_some_and(|(text, its_port)| covers(text) && its_port.parse() == Ok(port))
}

fn covers_name(exception: &str, host: &str, port: u16) -> bool {
    let (name, its_port) = exception
        .rsplit_once(':')
        .map_or((exception, None), |(name, port)| (name, Some(port)));
    let name = name.strip_prefix("*.").unwrap_or(name).trim_matches('.');
    let is_at_port = its_port.is_none_or(|its_port| its_port.parse() == Ok(port));
    let covers = host == name || host.strip_suffix(name).is_some_and(|above| above.ends_with('.'));
    !name.is_empty() && is_at_port && covers
}

#[cfg(test)]
mod tests;
