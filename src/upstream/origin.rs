use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
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

    /// Waits until it takes a request of our own to know whether the upstream answers: what one tenant's
    /// requests meet may be theirs alone. Once a `circuit_pause` at most.
    pub async fn probe_wanted(&self) {
        self.circuit.probe_wanted().await;
    }

    /// Looks the upstream's name up once, for those who send one request only.
    pub async fn resolve(&self) {
        self.resolver.refresh().await;
    }

    /// Makes a connection to the first address that takes one, beginning with that which last did.
    ///
    /// One that takes a connection and then does not speak TLS has an equal share of the time that is left,
    /// so that it leaves enough for the others.
    pub(super) async fn connect(&self, longest: Duration) -> Result<Box<Http1Connection>, SendError> {
        let allowed = CONNECT_TIMEOUT.min(longest);
        let deadline = Instant::now() + allowed;
        let addresses = match timeout_at(deadline, self.resolver.addresses()).await {
            Ok(addresses) => addresses.map_err(SendError::of_connecting)?,
            Err(_elapsed) => return Err(SendError::ConnectTimeout(allowed)),
        };
        let mut race = Race::between(addresses);
        let mut failure = None;
        loop {
            let Ok(next) = timeout_at(deadline, race.next()).await else {
                let timeout = SendError::ConnectTimeout(allowed);
                return Err(more_telling(failure, timeout));
            };
            let Some((address, connected)) = next else {
                return Err(failure.unwrap_or(SendError::ConnectTimeout(allowed)));
            };
            let opened = match connected {
                Ok(stream) => {
                    let share =
                        deadline.saturating_duration_since(Instant::now()) / race.left().saturating_add(1);
                    timeout(share, self.open(stream, address)).await
                }
                Err(error) => Ok(Err(error)),
            };
            let error = match opened {
                Ok(Ok(connection)) => {
                    self.resolver.remember_working(address);
                    self.metrics.upstream.connections_opened.inc();
                    return Ok(Box::new(connection));
                }
                Ok(Err(error)) => SendError::of_connecting(error),
                Err(_elapsed) => SendError::ConnectTimeout(allowed),
            };
            tracing::debug!(%address, %error, "no connection");
            failure = Some(more_telling(failure, error));
        }
    }

    async fn open(&self, stream: TcpStream, address: SocketAddr) -> io::Result<Http1Connection> {
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

/// The latest failure, unless this machine itself had nothing left for a connection: then nothing is known of
/// the upstream.
fn more_telling(before: Option<SendError>, latest: SendError) -> SendError {
    match before {
        Some(local @ SendError::OutOfResources(_)) => local,
        _ => latest,
    }
}

/// Connections that are being made to the addresses of one name (RFC 8305): one begins at once, the next
/// whenever one has failed, or has kept the others waiting for a moment.
struct Race {
    untried: VecDeque<SocketAddr>,
    running: FuturesUnordered<BoxFuture<'static, (SocketAddr, io::Result<TcpStream>)>>,
    next_at: Instant,
}

/// How long an address may keep the others waiting.
const STAGGER: Duration = Duration::from_millis(250);

impl Race {
    fn between(addresses: Vec<SocketAddr>) -> Self {
        Self {
            untried: addresses.into(),
            running: FuturesUnordered::new(),
            next_at: Instant::now(),
        }
    }

    /// How many addresses have not said anything yet.
    fn left(&self) -> u32 {
        u32::try_from(self.untried.len() + self.running.len()).unwrap_or(u32::MAX)
    }

    /// The next address to say yes or no; none once all have.
    async fn next(&mut self) -> Option<(SocketAddr, io::Result<TcpStream>)> {
        loop {
            if (self.running.is_empty() || Instant::now() >= self.next_at)
                && let Some(address) = self.untried.pop_front()
            {
                let connecting = TcpStream::connect(address).map(move |connected| (address, connected));
                self.running.push(connecting.boxed());
                self.next_at = Instant::now() + STAGGER;
            }
            if self.untried.is_empty() {
                return self.running.next().await;
            }
            let ended = timeout_at(self.next_at, self.running.next()).await;
            if let Ok(Some((address, connected))) = ended {
                if connected.is_err() {
                    self.next_at = Instant::now();
                }
                return Some((address, connected));
            }
        }
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
