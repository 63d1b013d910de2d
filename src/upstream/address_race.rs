use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Connections that are being made to the addresses of one name (RFC 8305): one begins at once, the next
/// whenever one has failed, or has kept the others waiting for a moment.
pub(super) struct AddressRace {
    untried: VecDeque<SocketAddr>,
    running: FuturesUnordered<BoxFuture<'static, (SocketAddr, io::Result<TcpStream>)>>,
    next_at: Instant,
}

/// How long an address may keep the others waiting.
pub(super) const STAGGER: Duration = Duration::from_millis(250);

impl AddressRace {
    pub(super) fn between(addresses: Vec<SocketAddr>) -> Self {
        Self {
            untried: addresses.into(),
            running: FuturesUnordered::new(),
            next_at: Instant::now(),
        }
    }

    /// How many addresses have not said anything yet.
    pub(super) fn left(&self) -> u32 {
        u32::try_from(self.untried.len() + self.running.len()).unwrap_or(u32::MAX)
    }

    /// The next address to say yes or no; none once all have.
    pub(super) async fn next(&mut self) -> Option<(SocketAddr, io::Result<TcpStream>)> {
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
