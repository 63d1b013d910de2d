use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How the addresses behind a name are found. A seam, so that a test can say what they are.
type Lookup = Box<dyn Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The addresses behind the upstream's name. They are looked up beside the requests, which take what is
/// known: the last good answer, however long DNS has failed since. Only before the first answer there is
/// something to wait for.
pub(super) struct Resolver {
    /// None where the name is an address.
    lookup: Option<Lookup>,
    known: ArcSwapOption<Vec<SocketAddr>>,
    /// Whether a lookup has ended, well or not.
    has_ended: watch::Sender<bool>,
    last_worked: Mutex<Option<SocketAddr>>,
    is_failing: AtomicBool,
    failures: IntCounter,
}

/// How often the name is looked up.
const REFRESH: Duration = Duration::from_secs(30);
/// How often it is while there is no address at all.
const HURRY: Duration = Duration::from_secs(1);
/// When a lookup is held to have failed.
const PATIENCE: Duration = Duration::from_secs(10);

impl Resolver {
    /// Nothing is looked up before [`Resolver::refresh`] or [`Resolver::follow`]; an address needs neither.
    pub(super) fn new(host: &str, port: u16, failures: IntCounter) -> Self {
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = SocketAddr::new(address, port);
            return Self::made(None, Some(vec![address]), failures);
        }
        let host: Arc<str> = host.into();
        // The system's own resolver, as in every other program of the machine: /etc/hosts, search domains, a
        // cache on loopback. It blocks a thread of the background runtime's for that, which is there for such
        // things.
        let lookup: Lookup = Box::new(move || {
            let host = Arc::clone(&host);
            async move { Ok(lookup_host((&*host, port)).await?.collect()) }.boxed()
        });
        Self::made(Some(lookup), None, failures)
    }

    fn made(lookup: Option<Lookup>, known: Option<Vec<SocketAddr>>, failures: IntCounter) -> Self {
        Self {
            has_ended: watch::Sender::new(known.is_some()),
            known: ArcSwapOption::new(known.map(Arc::new)),
            lookup,
            last_worked: Mutex::default(),
            is_failing: AtomicBool::new(false),
            failures,
        }
    }

    /// A name that always has these addresses.
    #[cfg(test)]
    pub(super) fn answering(addresses: Vec<SocketAddr>) -> Self {
        let lookup: Lookup = Box::new(move || std::future::ready(Ok(addresses.clone())).boxed());
        let failures = IntCounter::new("failures", "of DNS").unwrap();
        Self::made(Some(lookup), None, failures)
    }

    /// All addresses, that which last worked before the others. Waits for the first lookup, for no other.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if self.known.load().is_none() {
            // The sender lives as long as this; there is no error.
            let _ = self.has_ended.subscribe().wait_for(|has_ended| *has_ended).await;
        }
        let known = self.known.load_full().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "its name does not resolve to an address")
        })?;
        let mut addresses = Vec::clone(&known);
        let last_worked = *self.last_worked.lock();
        // Stable, so that the others stay in the order that DNS gave them.
        addresses.sort_by_key(|address| Some(*address) != last_worked);
        Ok(addresses)
    }

    /// Whether DNS still names an address, as far as it has answered.
    pub(super) fn is_current(&self, address: SocketAddr) -> bool {
        Guard::into_inner(self.known.load()).is_none_or(|known| known.contains(&address))
    }

    /// Remembers that a connection to an address could be made.
    pub(super) fn worked(&self, address: SocketAddr) {
        *self.last_worked.lock() = Some(address);
    }

    /// Looks the name up for as long as it is polled. Ends at once where there is nothing to look up.
    pub(super) async fn follow(&self) {
        while self.lookup.is_some() {
            self.refresh().await;
            let has_none = self.known.load().is_none();
            sleep(if has_none { HURRY } else { REFRESH }).await;
        }
    }

    /// Looks the name up once.
    pub(super) async fn refresh(&self) {
        let Some(lookup) = &self.lookup else {
            return;
        };
        match timeout(PATIENCE, lookup()).await {
            Ok(Ok(found)) if !found.is_empty() => self.found(found),
            Ok(Ok(_)) => self.failed(&"the name has no address"),
            Ok(Err(error)) => self.failed(&error),
            Err(_elapsed) => self.failed(&"DNS did not answer in time"),
        }
        self.has_ended.send_replace(true);
    }

    fn found(&self, found: Vec<SocketAddr>) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the upstream's name resolves again");
        }
        tracing::debug!(addresses = ?found, "the upstream's name was looked up");
        self.known.store(Some(Arc::new(found)));
    }

    /// Counted each time, told once an outage.
    fn failed(&self, reason: &dyn std::fmt::Display) {
        self.failures.inc();
        if self.is_failing.swap(true, Ordering::Relaxed) {
            return;
        }
        if self.known.load().is_some() {
            tracing::warn!(%reason, "the upstream's name does not resolve; its last known addresses stay in use");
        } else {
            tracing::warn!(%reason, "the upstream's name does not resolve; nothing can be sent before it does");
        }
    }
}

#[cfg(test)]
mod tests;
