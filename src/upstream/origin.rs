use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::address_race::AddressRace;
use super::circuit::Circuit;
use super::connection::Http1Connection;
use super::error::{SendError, SetUpError, is_local_fault};
use super::proxy::{ProxyError, Tunnel};
use super::resolver::Resolver;
use super::tls::{CertificateFile, Tls};
use super::transport::Transport;
use crate::config::{self, Route, UpstreamUrl, Validity};
use crate::telemetry::Metrics;

/// An upstream, whoever asks it: where it is, and how it is reached. The clients of all its credentials share
/// one.
pub struct Origin {
    pub(super) url: UpstreamUrl,
    pub(super) host: HeaderValue,
    route: Route,
    tls: Option<Arc<Tls>>,
    /// How the proxy before it is asked for the way, where there is one.
    tunnel: Option<Tunnel>,
    /// Of the first machine on the way: the proxy, where there is one.
    pub(super) resolver: Resolver,
    pub(super) circuit: Circuit,
    pub(super) metrics: Arc<Metrics>,
}

/// How long a connection may take to be made: all addresses together, proxy and TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Origin {
    /// Prepares for an upstream; nothing is looked up and nothing connected yet.
    ///
    /// # Errors
    /// [`SetUpError`] where the settings or the system do not allow it.
    pub fn new(
        url: UpstreamUrl,
        route: &Route,
        circuit: config::Circuit,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetUpError> {
        let tls = if url.is_tls {
            Some(Arc::new(Tls::new(&url.host, &route.tls)?))
        } else {
            None
        };
        let proxy = route.proxying.proxy();
        let (owner, host, port) = match proxy {
            Some(proxy) => ("proxy", &proxy.host, proxy.port),
            None => ("upstream", &url.host, url.port),
        };
        Ok(Self {
            tls,
            tunnel: proxy.map(|proxy| Tunnel::new(proxy, &url)),
            route: route.clone(),
            host: HeaderValue::try_from(url.authority()).map_err(|_| SetUpError::BadHost)?,
            resolver: Resolver::new(owner, host, port, metrics.upstream.dns_failures.clone()),
            url,
            circuit: Circuit::new(circuit),
            metrics,
        })
    }

    /// Whether it is the upstream at this address, reached in this way.
    #[must_use]
    pub fn is_at(&self, url: &UpstreamUrl, route: &Route) -> bool {
        self.url == *url && self.route == *route
    }

    /// Goes by other limits when it is left alone, from now on.
    pub fn set_circuit(&self, settings: config::Circuit) {
        self.circuit.set(settings, &self.metrics.upstream);
    }

    /// Looks the upstream's name up for as long as it is polled; ends at once where the name is an address.
    /// Until the first lookup has ended, requests wait for it.
    pub async fn follow_name(&self) {
        self.resolver.follow().await;
    }

    /// The files of certificates that are in use now.
    #[must_use]
    pub fn certificates(&self) -> Vec<CertificateFile> {
        self.tls.as_deref().map(Tls::certificates).unwrap_or_default()
    }

    /// Until when the upstream's own certificate is good; none before it has shown one.
    #[must_use]
    pub fn shown_validity(&self) -> Option<Validity> {
        self.tls.as_deref().and_then(Tls::shown_validity)
    }

    /// Whether the system says whom to trust.
    #[must_use]
    pub fn trusts_system(&self) -> bool {
        self.tls.as_deref().is_some_and(Tls::trusts_system)
    }

    /// Follows the files of certificates for as long as it is polled; ends at once where there are none.
    pub async fn follow_files(&self) {
        if let Some(tls) = &self.tls {
            let certificates = &self.metrics.certificates;
            certificates.follow("upstream", Arc::clone(tls)).await;
        }
    }

    /// Waits until it takes a request of our own to know whether the upstream answers: what one tenant's
    /// requests meet may be theirs alone. Once a `circuit_pause` at most.
    pub async fn probe_wanted(&self) {
        self.circuit.probe_wanted().await;
    }

    /// Looks the upstream's name up once, for those who send one request only.
    pub async fn resolve(&self) {
        self.resolver.refresh().await;
    }

    /// The same, where that was never tried to its end.
    pub async fn resolve_first(&self) {
        if !self.resolver.has_ended() {
            self.resolver.refresh().await;
        }
    }

    /// Makes a connection to the first address that takes one, beginning with that which last did.
    ///
    /// One that takes a connection and then does not speak TLS, or makes no tunnel, has an equal share of the time
    /// that is left, so that it leaves enough for the others.
    pub(super) async fn connect(&self, longest: Duration) -> Result<Box<Http1Connection>, SendError> {
        let allowed = CONNECT_TIMEOUT.min(longest);
        let deadline = Instant::now() + allowed;
        let addresses = match timeout_at(deadline, self.resolver.addresses()).await {
            Ok(addresses) => addresses.map_err(|error| self.not_connected(error))?,
            Err(_elapsed) => return Err(self.late(allowed)),
        };
        let mut race = AddressRace::between(addresses);
        let mut failure = None;
        loop {
            let Ok(next) = timeout_at(deadline, race.next()).await else {
                return Err(more_telling(failure, self.late(allowed)));
            };
            let Some((address, connected)) = next else {
                return Err(failure.unwrap_or_else(|| self.late(allowed)));
            };
            let opened = match connected {
                Ok(stream) => {
                    let now = Instant::now();
                    let share = deadline.saturating_duration_since(now) / race.left().saturating_add(1);
                    self.open(stream, address, now + share, allowed).await
                }
                Err(error) => Err(self.not_connected(error)),
            };
            let error = match opened {
                Ok(connection) => {
                    self.resolver.remember_working(address);
                    self.metrics.upstream.connections_opened.inc();
                    return Ok(Box::new(connection));
                }
                Err(error) => error,
            };
            tracing::debug!(%address, %error, "no connection");
            failure = Some(more_telling(failure, error));
        }
    }

    async fn open(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
        until: Instant,
        allowed: Duration,
    ) -> Result<Http1Connection, SendError> {
        if let Some(tunnel) = &self.tunnel {
            let opened = timeout_at(until, tunnel.open(&mut stream)).await;
            opened.map_err(|_elapsed| ProxyError::Timeout(allowed))??;
        }
        let connecting = async {
            stream.set_nodelay(true)?;
            let transport = match &self.tls {
                Some(tls) => Transport::Tls(Box::new(tls.connect(stream).await?)),
                None => Transport::Plain(stream),
            };
            io::Result::Ok(Http1Connection::new(transport, address))
        };
        match timeout_at(until, connecting).await {
            Ok(connection) => connection.map_err(SendError::of_connecting),
            Err(_elapsed) => Err(SendError::ConnectTimeout(allowed)),
        }
    }

    /// Why there is no connection to the first machine on the way.
    fn not_connected(&self, error: io::Error) -> SendError {
        match self.tunnel {
            Some(_) if !is_local_fault(&error) => ProxyError::Unreachable(error).into(),
            _ => SendError::of_connecting(error),
        }
    }

    /// The same, where it took too long.
    fn late(&self, allowed: Duration) -> SendError {
        match self.tunnel {
            Some(_) => ProxyError::ConnectTimeout(allowed).into(),
            None => SendError::ConnectTimeout(allowed),
        }
    }
}

/// The latest failure, unless this machine itself had nothing left for a connection: then nothing is known of
/// the upstream.
fn more_telling(before: Option<SendError>, latest: SendError) -> SendError {
    match before {
        Some(local @ SendError::OutOfResources(_)) => local,
        _ => latest,
    }
}

#[cfg(test)]
mod tests;
