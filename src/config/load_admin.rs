//! `[admin]`: where the operator is listened to, and who may do what there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::admin::{Admin, AdminToken, Rights};
use super::errors::Problem;
use super::reader::{Reader, variable};
use super::{secrets, values};
use crate::text::Secret;

const TOKENS: &str = "admin.tokens";

impl Reader<'_> {
    pub(super) fn admin(&mut self, listen: Option<SocketAddr>) -> Option<Admin> {
        let token = self.token_at(Admin::TOKEN);
        let tokens = self.tokens();
        let metrics_token = self.token_at("admin.metrics_token");
        let tls = self.server_tls("admin.tls");
        let rights = self.read_optional("admin.tls.client_rights", values::client_rights);
        if self.is_set("admin.tls.client_rights") && !self.is_set("admin.tls.client_ca") {
            let setting = "admin.tls.client_ca";
            self.fault("admin.tls.client_rights", Problem::NoClientCa { setting });
        }
        let address = self.read("admin.address", values::address)?;
        if listen.is_some_and(|listen| collide(listen, address)) {
            let path = if self.is_set("admin.address") {
                "admin.address"
            } else {
                "listen.address"
            };
            self.fault(path, Problem::SameAddress);
        }
        let mut admin = Admin {
            address,
            token: token?,
            tokens,
            metrics_token: metrics_token?,
            client_rights: None,
            tls: tls?,
        };
        // Where there are tokens, certificates were asked for besides and not instead, unless somebody says so.
        let asks_for_certificates = admin.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let has_tokens = admin.api_tokens().next().is_some();
        let otherwise = (asks_for_certificates && !has_tokens).then_some(Rights::All);
        admin.client_rights = rights?.unwrap_or(otherwise);
        self.tell_apart(&admin);
        Some(admin)
    }

    fn token_at(&mut self, path: &str) -> Option<Option<Secret>> {
        let environment = self.environment;
        self.read_optional(path, |raw| secrets::token(raw, variable(path), environment))
    }

    /// The tokens by name. One that could not be read is left out, with a fault.
    fn tokens(&mut self) -> BTreeMap<String, AdminToken> {
        let names = self.entries.names_in(TOKENS);
        let read = |(name, place)| {
            let table = format!("{TOKENS}.{name}");
            let (token_path, rights_path) = (format!("{table}.token"), format!("{table}.rights"));
            for (path, problem) in [
                (&token_path, Problem::TokenMissing),
                (&rights_path, Problem::RightsMissing),
            ] {
                if !self.is_set(path) {
                    self.fault_at(&place, &table, problem);
                }
            }
            let environment = self.environment;
            let token = self.read(&token_path, |raw| secrets::token(raw, None, environment));
            let rights = self.read(&rights_path, values::rights);
            Some((
                name,
                AdminToken {
                    token: token?,
                    rights: rights?,
                },
            ))
        };
        names.into_iter().filter_map(read).collect()
    }

    /// Of two tokens that are one nobody could say who came, or with which rights.
    fn tell_apart(&mut self, admin: &Admin) {
        let settings = admin.api_tokens().map(|(name, token, _)| {
            let path = match name.as_str() {
                Admin::TOKEN => name.clone(),
                _ => format!("{name}.token"),
            };
            (path, token)
        });
        let metrics = admin.metrics_token.iter();
        let metrics = metrics.map(|token| ("admin.metrics_token".to_owned(), token));
        let all: Vec<_> = settings.chain(metrics).collect();
        for (index, (path, token)) in all.iter().enumerate() {
            if let Some((other, _)) = all.iter().take(index).find(|(_, other)| other == token) {
                self.fault(path, Problem::SameToken { other: other.clone() });
            }
        }
    }
}

/// Whether the second of two listeners could not have its address.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let shares_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && shares_ip
}

#[cfg(test)]
mod tests;
