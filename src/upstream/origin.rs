use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::circuit::Circuit;
use super::connection::{Http1Connection, Transport};
use super::error::{SendError, SetUpError};
use super::resolver::Resolver;
use crate::config::{self, UpstreamUrl};
use crate::telemetry::Metrics;

/// An upstream, whoever asks it: where it is, and how it is reached. The clients of all its credentials share
/// one.
pub struct Origin {
    pub(super) url: UpstreamUrl,
    pub(super) host: HeaderValue,
    tls: Option<Tls>,
    pub(super) resolver: Resolver,
    pub(super) circuit: Circuit,
    pub(super) metrics: Arc<Metrics>,
}

/// How long a connection may take to be made: all addresses together, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Origin {
    /// Prepares for an upstream; nothing is looked up and nothing connected yet.
    ///
    /// # Errors
    /// [`SetUpError`] where the settings or the system do not allow it.
    pub fn new(
        url: UpstreamUrl,
        circuit: config::Circuit,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetUpError> {
        let tls = if url.is_tls {
            Some(Tls::new(&url.host)?)
        } else {
            None
        };
        Ok(Self {
            tls,
            host: HeaderValue::try_from(url.authority()).map_err(|_| SetUpError::BadHost)?,
            resolver: Resolver::new(&url.host, url.port, metrics.upstream.dns_failures.clone()),
            url,
            circuit: Circuit::new(circuit),
            metrics,
        })
    }

    /// Looks the upstream's name up for as long as it is polled; ends at once where the name is an address.
    /// Until the first lookup has ended, requests wait for it.
    pub async fn follow_name(&self) {
        self.resolver.follow().await;
    }

    /// Looks the upstream's name up once, for those who send one request only.
    pub async fn resolve(&self) {
        self.resolver.refresh().await;
    }

    /// Makes a connection to the first address that takes one, beginning with that which last did. Each has
    /// an equal share of the time that is left, so that one that is dead leaves enough for the others.
    pub(super) async fn connect(&self, longest: Duration) -> Result<Box<Http1Connection>, SendError> {
        let allowed = CONNECT_TIMEOUT.min(longest);
        let deadline = Instant::now() + allowed;
        let addresses = match timeout_at(deadline, self.resolver.addresses()).await {
            Ok(addresses) => addresses.map_err(SendError::Unreachable)?,
            Err(_elapsed) => return Err(SendError::ConnectTimeout(allowed)),
        };
        let mut error = SendError::ConnectTimeout(allowed);
        for (index, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let untried = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            error = match timeout(left / untried, self.open(*address)).await {
                Ok(Ok(connection)) => {
                    self.resolver.worked(*address);
                    self.metrics.upstream.connections_opened.inc();
                    return Ok(Box::new(connection));
                }
                Ok(Err(error)) => SendError::Unreachable(error),
                Err(_elapsed) => SendError::ConnectTimeout(allowed),
            };
            tracing::debug!(%address, %error, "no connection");
        }
        Err(error)
    }

    async fn open(&self, address: SocketAddr) -> io::Result<Http1Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let transport = match &self.tls {
            Some(tls) => Transport::Tls(Box::new(tls.connect(stream).await?)),
            None => Transport::Plain(stream),
        };
        Http1Connection::open(transport, address)
            .await
            .map_err(io::Error::other)
    }
}

/// What it takes to speak TLS with one upstream: the system's root certificates, the ring provider, HTTP/1.1.
#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Tls {
    fn new(host: &str) -> Result<Self, SetUpError> {
        let server = ServerName::try_from(host.to_owned()).map_err(|_| SetUpError::BadHost)?;
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(SetUpError::NoRootCertificates);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(SetUpError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            connector: Arc::new(config).into(),
            server,
        })
    }

    async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.server.clone(), stream).await
    }
}

#[cfg(test)]
mod tests;
