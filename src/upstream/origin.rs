use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::breaker::Breaker;
use super::link::Link;
use super::resolver::Resolver;
use super::stream::Transport;
use super::tls::Tls;
use super::{Failure, SetUpError};
use crate::config::{self, UpstreamUrl};
use crate::telemetry::Metrics;

/// An upstream, whoever asks it: where it is, and how it is reached. The clients of all its credentials share one.
pub struct Origin {
    pub(super) url: UpstreamUrl,
    pub(super) host: HeaderValue,
    tls: Option<Tls>,
    pub(super) resolver: Resolver,
    pub(super) breaker: Breaker,
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
        breaker: config::Breaker,
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
            breaker: Breaker::new(breaker),
            metrics,
        })
    }

    /// Looks the upstream's name up for as long as it is polled; ends at once where the name is an address. Until the
    /// first lookup has ended, requests wait for it.
    pub async fn follow_name(&self) {
        self.resolver.follow().await;
    }

    /// Looks the upstream's name up once, for those who send one request only.
    pub async fn resolve(&self) {
        self.resolver.refresh().await;
    }

    /// Makes a connection to the first address that takes one, beginning with that which last did. Each has an equal
    /// share of the time that is left, so that one that is dead leaves enough for the others.
    pub(super) async fn connect(&self, longest: Duration) -> Result<Box<Link>, Failure> {
        let allowed = CONNECT_TIMEOUT.min(longest);
        let deadline = Instant::now() + allowed;
        let addresses = match timeout_at(deadline, self.resolver.addresses()).await {
            Ok(addresses) => addresses.map_err(Failure::Unreachable)?,
            Err(_elapsed) => return Err(Failure::ConnectTimeout(allowed)),
        };
        let mut failure = Failure::ConnectTimeout(allowed);
        for (index, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let untried = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            failure = match timeout(left / untried, self.open(*address)).await {
                Ok(Ok(link)) => {
                    self.resolver.worked(*address);
                    self.metrics.upstream.connections_opened.inc();
                    return Ok(Box::new(link));
                }
                Ok(Err(error)) => Failure::Unreachable(error),
                Err(_elapsed) => Failure::ConnectTimeout(allowed),
            };
            tracing::debug!(%address, %failure, "no connection");
        }
        Err(failure)
    }

    async fn open(&self, address: SocketAddr) -> io::Result<Link> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let transport = match &self.tls {
            Some(tls) => Transport::Tls(Box::new(tls.connect(stream).await?)),
            None => Transport::Plain(stream),
        };
        Link::open(transport, address).await.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests;
