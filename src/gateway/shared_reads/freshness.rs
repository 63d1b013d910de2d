use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What a client's `cache-control` asks of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct Freshness {
    pub(super) may_share: bool,
    pub(super) may_keep: bool,
    pub(super) max_age: Option<Duration>,
}

impl Freshness {
    /// Whatever serves others too.
    pub(in crate::gateway) const ANY: Self = Self {
        may_share: true,
        may_keep: true,
        max_age: None,
    };

    /// A reply of one's own, asked for now. Others may have it afterwards.
    pub(in crate::gateway) const NEW: Self = Self {
        may_share: false,
        may_keep: true,
        max_age: None,
    };

    /// What the client's header asks for. Directives that mean nothing here are passed over.
    pub(in crate::gateway) fn from_cache_control(headers: &HeaderMap) -> Self {
        let mut asked = Self::ANY;
        let values = headers.get_all(CACHE_CONTROL).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        for directive in texts.flat_map(|text| text.split(',')).map(str::trim) {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.to_ascii_lowercase().as_str() {
                "no-cache" => asked.may_share = false,
                "no-store" => (asked.may_share, asked.may_keep) = (false, false),
                "max-age" => asked.max_age = argument.parse().ok().map(Duration::from_secs),
                _ => {}
            }
        }
        asked
    }
}

/// Where a reply to a read came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum ReadSource {
    /// From memory, where it has been for so long.
    Hit(Duration),
    /// From the request of somebody who asked for the same just before.
    Coalesced,
    /// From the upstream.
    Miss,
}

/// The name of the header that says where a read's reply came from.
const SOURCE: HeaderName = HeaderName::from_static("envgate-cache");

impl ReadSource {
    /// The label of the metric and the value of the header.
    pub(in crate::gateway) const fn name(self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Coalesced => "coalesced",
            Self::Miss => "miss",
        }
    }

    /// Where an answer came from that is made of two replies: it cost the upstream something if one of them
    /// did, and is as old as the older.
    pub(in crate::gateway) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Miss, _) | (_, Self::Miss) => Self::Miss,
            (Self::Coalesced, _) | (_, Self::Coalesced) => Self::Coalesced,
            (Self::Hit(one), Self::Hit(other)) => Self::Hit(one.max(other)),
        }
    }

    /// The headers that tell the client.
    pub(in crate::gateway) fn headers(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let age = match self {
            Self::Hit(age) => Some((http::header::AGE, HeaderValue::from(age.as_secs()))),
            Self::Coalesced | Self::Miss => None,
        };
        age.into_iter()
            .chain([(SOURCE, HeaderValue::from_static(self.name()))])
    }
}
