//! The upstream, and how it is reached.

use jiff::Timestamp;

use super::certificates::PemFile;
use super::errors::Problem;
use super::proxy::{Proxy, Proxying};
use super::reader::{Reader, variable};
use super::settings::{Circuit, Route, Upstream, UpstreamService, UpstreamTls, UpstreamUrl};
use super::tree::Raw;
use super::{secrets, values};

/// The settings that have no meaning without TLS.
const TLS_FILES: [&str; 4] = [
    "upstream.ca_file",
    "upstream.pinned_certificate",
    "upstream.client_certificate",
    "upstream.client_key",
];

impl Reader<'_> {
    pub(super) fn upstream(&mut self) -> Option<Upstream> {
        let service = self.service();
        let route = self.route(service.as_ref());
        let timeout = self.read("upstream.timeout", values::duration);
        let max_response_bytes = self.read("upstream.max_response_bytes", |raw| {
            values::integer(raw, 1 << 10..=1 << 30)
        });
        let circuit = self.circuit();
        let is_listed_at_start = self.read("upstream.list_at_start", values::boolean);
        let beta = self.read("upstream.beta", values::beta);
        let workspace_id = self.read_optional("upstream.workspace_id", values::workspace_id);
        let budget = self.budget_name("upstream.budget");
        Some(Upstream {
            beta: beta?,
            workspace_id: workspace_id?,
            service,
            route: route?,
            timeout: timeout?,
            max_response_bytes: max_response_bytes?,
            budget: budget?,
            circuit: circuit?,
            is_listed_at_start: is_listed_at_start?,
        })
    }

    fn circuit(&mut self) -> Option<Circuit> {
        let failures = self.read("upstream.circuit_failures", |raw| values::integer(raw, 0..=1000));
        let pause = self.read("upstream.circuit_pause", values::duration);
        Some(Circuit {
            failures: failures?,
            pause: pause?,
        })
    }

    fn service(&mut self) -> Option<UpstreamService> {
        let environment = self.environment;
        let url = self.read("upstream.url", |raw| Ok(UpstreamUrl::parse(values::text(raw)?)?));
        let credential = self.read("upstream.credential", |raw| {
            secrets::credential(raw, variable("upstream.credential"), environment)
        });
        let allow_plaintext = self.read("upstream.allow_plaintext", values::boolean);
        match (self.is_set("upstream.url"), self.is_set("upstream.credential")) {
            (true, false) => self.fault("upstream.url", Problem::CredentialMissing),
            (false, true) => self.fault("upstream.credential", Problem::UrlMissing),
            _ => {}
        }
        let url = url?;
        if !url.is_tls && !url.is_loopback() && allow_plaintext == Some(false) {
            self.fault("upstream.url", Problem::PlaintextUpstream);
        }
        Some(UpstreamService {
            url,
            credential: credential?,
        })
    }

    fn route(&mut self, service: Option<&UpstreamService>) -> Option<Route> {
        let url = service.map(|service| &service.url);
        let tls = self.tls(url);
        let proxying = self.proxying(url);
        Some(Route {
            tls: tls?,
            proxying: proxying?,
        })
    }

    fn tls(&mut self, url: Option<&UpstreamUrl>) -> Option<UpstreamTls> {
        let roots = |raw: &Raw| {
            let path = values::path(raw)?;
            PemFile::read(&path)?.roots(Timestamp::now())?;
            Ok(path)
        };
        let ca_file = self.read_optional("upstream.ca_file", roots);
        let pinned_certificate = self.read_optional("upstream.pinned_certificate", roots);
        let client = self.key_pair_at("upstream.client_certificate", "upstream.client_key");
        if self.is_set("upstream.ca_file") && self.is_set("upstream.pinned_certificate") {
            self.fault("upstream.pinned_certificate", Problem::CaAndPinned);
        }
        let has_no_tls = !self.is_set("upstream.url") || url.is_some_and(|url| !url.is_tls);
        for path in TLS_FILES {
            if has_no_tls && self.is_set(path) {
                self.fault(path, Problem::UpstreamWithoutTls);
            }
        }
        Some(UpstreamTls {
            ca_file: ca_file?,
            pinned_certificate: pinned_certificate?,
            client: client?,
        })
    }

    fn proxying(&mut self, url: Option<&UpstreamUrl>) -> Option<Proxying> {
        let environment = self.environment;
        let (is_set, has_url) = (self.is_set("upstream.proxy"), self.is_set("upstream.url"));
        self.read("upstream.proxy", |raw| {
            let written = secrets::proxy_url(raw, variable("upstream.proxy"), environment)?;
            match (written.as_str(), url) {
                ("none", Some(url)) if !is_set => Ok(Proxying::ignoring(environment, url)),
                ("none", _) => Ok(Proxying::None),
                ("environment", Some(url)) => Proxying::from_environment(environment, url),
                ("environment", None) => Ok(Proxying::Unnamed),
                (_, None) if !has_url => Err(Problem::UrlMissingForProxy),
                (text, _) => Ok(Proxying::Through {
                    proxy: Proxy::parse(text)?,
                    variable: None,
                }),
            }
        })
    }
}
