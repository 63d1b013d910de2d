use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::error::is_local_fault;

/// How the addresses behind a name are found. A seam, so that a test can say what they are.
type Lookup = Box<dyn Fn() -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The addresses behind the name of the upstream, or of the proxy before it. They are looked up beside the requests, which take what is
/// known: the last good answer, however long DNS has failed since. Only before the first answer there is
/// something to wait for.
pub(super) struct Resolver {
    /// Whose name it is, for the log.
    owner: &'static str,
    /// None where the name is an address.
    lookup: Option<Lookup>,
    known: ArcSwapOption<Vec<SocketAddr>>,
    /// Whether a lookup has ended, well or not.
    has_ended: watch::Sender<bool>,
    last_worked: Mutex<Option<SocketAddr>>,
    is_failing: AtomicBool,
    /// The number of what this machine lacked at the last lookup; 0 where it lacked nothing.
    local_fault: AtomicI32,
    failures: IntCounter,
}

/// How often the name is looked up.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// How often it is while there is no address at all.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// When a lookup is held to have failed.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

impl Resolver {
    /// Nothing is looked up before [`Resolver::refresh`] or [`Resolver::follow`]; an address needs neither.
    pub(super) fn new(owner: &'static str, host: &str, port: u16, failures: IntCounter) -> Self {
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = SocketAddr::new(address, port);
            return Self::with(owner, None, Some(vec![address]), failures);
        }
        let host: Arc<str> = host.into();
        // The system's own resolver, as in every other program of the machine: /etc/hosts, search domains, a
        // cache on loopback. It blocks a thread of the background runtime's for that, which is there for such
        // things.
        let lookup: Lookup = Box::new(move || {
            let host = Arc::clone(&host);
            async move { Ok(lookup_host((&*host, port)).await?.collect()) }.boxed()
        });
        Self::with(owner, Some(lookup), None, failures)
    }

    fn with(
        owner: &'static str,
        lookup: Option<Lookup>,
        known: Option<Vec<SocketAddr>>,
        failures: IntCounter,
    ) -> Self {
        Self {
            owner,
            has_ended: watch::Sender::new(known.is_some()),
            known: ArcSwapOption::new(known.map(Arc::new)),
            lookup,
            last_worked: Mutex::default(),
            is_failing: AtomicBool::new(false),
            local_fault: AtomicI32::new(0),
            failures,
        }
    }

    /// A name that always has these addresses.
    #[cfg(test)]
    pub(super) fn answering(addresses: Vec<SocketAddr>) -> Self {
        let lookup: Lookup = Box::new(move || std::future::ready(Ok(addresses.clone())).boxed());
        let failures = IntCounter::new("failures", "of DNS").unwrap();
        Self::with("upstream", Some(lookup), None, failures)
    }

    /// All addresses, that which last worked before the others. Waits for the first lookup, for no other.
    pub(super) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if self.known.load().is_none() {
            // The sender lives as long as this; there is no error.
            let _ = self.has_ended.subscribe().wait_for(|has_ended| *has_ended).await;
        }
        let known = self
            .known
            .load_full()
            .ok_or_else(|| match self.local_fault.load(Ordering::Relaxed) {
                0 => io::Error::new(io::ErrorKind::NotFound, "its name does not resolve to an address"),
                code => io::Error::from_raw_os_error(code),
            })?;
        let mut addresses = Vec::clone(&known);
        let last_worked = *self.last_worked.lock();
        // Stable, so that the others stay in the order that DNS gave them.
        addresses.sort_by_key(|address| Some(*address) != last_worked);
        Ok(alternate_families(addresses))
    }

    /// Whether DNS names an address, as far as it has answered.
    pub(super) fn is_current(&self, address: SocketAddr) -> bool {
        Guard::into_inner(self.known.load()).is_none_or(|known| known.contains(&address))
    }

    /// Remembers that a connection to an address could be made.
    pub(super) fn remember_working(&self, address: SocketAddr) {
        *self.last_worked.lock() = Some(address);
    }

    /// Looks the name up for as long as it is polled. Ends at once where there is nothing to look up.
    pub(super) async fn follow(&self) {
        while self.lookup.is_some() {
            self.refresh().await;
            let has_none = self.known.load().is_none();
            sleep(if has_none {
                RETRY_INTERVAL
            } else {
                REFRESH_INTERVAL
            })
            .await;
        }
    }

    /// Whether a lookup has ended, well or not.
    pub(super) fn has_ended(&self) -> bool {
        *self.has_ended.borrow()
    }

    /// Looks the name up once.
    pub(super) async fn refresh(&self) {
        let Some(lookup) = &self.lookup else {
            return;
        };
        let found = timeout(LOOKUP_TIMEOUT, lookup()).await;
        let local_fault = match &found {
            Ok(Err(error)) if is_local_fault(error) => error.raw_os_error(),
            _ => None,
        };
        self.local_fault
            .store(local_fault.unwrap_or_default(), Ordering::Relaxed);
        match found {
            Ok(Ok(addresses)) if !addresses.is_empty() => self.learn(addresses),
            Ok(Ok(_)) => self.record_failure(&"the name has no address"),
            Ok(Err(error)) => self.record_failure(&error),
            Err(_elapsed) => self.record_failure(&"DNS did not answer in time"),
        }
        self.has_ended.send_replace(true);
    }

    fn learn(&self, addresses: Vec<SocketAddr>) {
        if self.is_failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the {}'s name resolves again", self.owner);
        }
        tracing::debug!(?addresses, "the {}'s name was looked up", self.owner);
        self.known.store(Some(Arc::new(addresses)));
    }

    /// Counted each time, told once an outage.
    fn record_failure(&self, reason: &dyn std::fmt::Display) {
        self.failures.inc();
        if self.is_failing.swap(true, Ordering::Relaxed) {
            return;
        }
        let owner = self.owner;
        if self.known.load().is_some() {
            tracing::warn!(%reason, "the {owner}'s name does not resolve; its last known addresses stay in use");
        } else {
            tracing::warn!(%reason, "the {owner}'s name does not resolve; nothing can be sent before it does");
        }
    }
}

/// Both families in turn, beginning with that of the first: where one of them leads nowhere, every other
/// address is worth a try.
fn alternate_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().copied() else {
        return addresses;
    };
    let is_first = |address: &SocketAddr| address.is_ipv4() == first.is_ipv4();
    let (same, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(is_first);
    let mut other = other.into_iter();
    let mut alternating: Vec<_> = same
        .into_iter()
        .flat_map(|address| [Some(address), other.next()])
        .flatten()
        .collect();
    alternating.extend(other);
    alternating
}

#[cfg(test)]
mod tests;
