use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::tls::ServerTls;
use crate::text::Secret;

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where health, metrics and the admin API are served; port 0 takes a free one.
    pub address: SocketAddr,
    /// What the admin API takes as Bearer, with all rights.
    pub token: Option<Secret>,
    /// What else it takes, by name.
    pub tokens: BTreeMap<String, AdminToken>,
    /// What `/metrics` takes as Bearer; none where it is open.
    pub metrics_token: Option<Secret>,
    /// What a client may do that shows a certificate; none where that alone lets nobody in.
    pub client_rights: Option<Rights>,
    /// `[admin.tls]`; none where plain HTTP is spoken.
    pub tls: Option<ServerTls>,
}

/// `[admin.tokens.NAME]`
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// What is sent.
    pub token: Secret,
    /// What whoever sends it may do.
    pub rights: Rights,
}

/// What somebody may do with the admin API; each has what those before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Read.
    Read,
    /// Create, rotate and revoke keys of tenants that are there.
    Keys,
    /// Everything.
    All,
}

impl Rights {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Read, Self::Keys, Self::All];

    /// The name in settings and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Keys => "keys",
            Self::All => "all",
        }
    }
}

impl Admin {
    /// The name of [`Admin::token`].
    pub const TOKEN: &'static str = "admin.token";

    /// Every token that `/api` takes, with the name that the audit knows it by and what it is good for.
    pub fn api_tokens(&self) -> impl Iterator<Item = (String, &Secret, Rights)> {
        let first = self.token.iter();
        let first = first.map(|token| (Self::TOKEN.to_owned(), token, Rights::All));
        let others = self.tokens.iter();
        first.chain(others.map(|(name, other)| (format!("admin.tokens.{name}"), &other.token, other.rights)))
    }

    /// Whether anybody is let into `/api` who is not on this machine.
    #[must_use]
    pub fn lets_others_in(&self) -> bool {
        self.api_tokens().next().is_some() || self.client_rights.is_some()
    }

    /// What an operator may not have meant; each a sentence.
    pub(super) fn advice(&self) -> Vec<String> {
        if self.address.ip().to_canonical().is_loopback() {
            return Vec::new();
        }
        let address = self.address;
        let metrics = self.metrics_token.is_none().then(|| {
            format!(
                "admin.address {address} is open to other machines, and /metrics to everybody who reaches it: \
                 admin.metrics_token closes it"
            )
        });
        let api = (!self.lets_others_in()).then(|| {
            format!(
                "admin.address {address} is open to other machines, and there is no token: /api answers this machine \
                 alone, and changes nothing; set admin.token, or admin.tls.client_ca"
            )
        });
        let plain = (self.tls.is_none() && self.api_tokens().next().is_some()).then(|| {
            format!(
                "admin.address {address} is open to other machines without TLS: tokens go over the network as they \
                 are, unless something before it speaks TLS; see admin.tls"
            )
        });
        metrics.into_iter().chain(api).chain(plain).collect()
    }
}
