use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::client_network::ClientNetwork;
use super::entry::{Activity, Candidates, Entry};
use crate::config::Networks;
use crate::telemetry::ConnectionMetrics;

/// How long a connection that was asked to close may take before another is asked as well.
const CLOSE_PATIENCE: Duration = Duration::from_millis(100);
/// The part of all connections that one client may have, unless somebody says otherwise.
const CLIENTS_PART: usize = 4;

/// The connections that are open at one address, at most so many, and of one client at most so many of them.
/// Where one more comes, the oldest that has not sent a whole head is closed to make room, else the one that
/// has been idle for longest. One that is being served is not.
#[derive(Debug)]
pub struct Connections {
    limits: ArcSwap<ConnectionLimits>,
    started: Instant,
    open: Mutex<Open>,
    closed_one: Notify,
    metrics: Option<ConnectionMetrics>,
}

/// How many connections there may be.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// In all.
    pub max: usize,
    /// From one IPv4 address, or one /64 of IPv6.
    pub max_per_client: usize,
    /// Where those come from who may have as many as there are.
    pub trusted: Networks,
}

/// A client has as many connections as it may, and each is being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFull;

#[derive(Debug, Default)]
struct Open {
    all: HashMap<u64, Arc<Entry>>,
    candidates: Candidates,
    /// Those of each client whose connections are counted. One that was asked to close to make room for
    /// another of the same client is not among them any more.
    clients: HashMap<ClientNetwork, Client>,
    next: u64,
    is_closing: bool,
    /// How long one that should close may still wait for a request that is on its way.
    patience: Duration,
}

/// The connections of one client.
#[derive(Debug, Default)]
struct Client {
    entries: Vec<Arc<Entry>>,
    candidates: Candidates,
}

/// One open connection's place among them; dropped, it is closed.
#[derive(Debug)]
pub struct OpenConnection {
    connections: Arc<Connections>,
    entry: Arc<Entry>,
    closing: watch::Receiver<bool>,
    /// Whose it is, where that is counted.
    client: Option<ClientNetwork>,
}

impl ConnectionLimits {
    /// At most so many, a quarter of them from one client unless `max_per_client` says otherwise.
    #[must_use]
    pub fn new(max: usize, max_per_client: Option<usize>, trusted: Networks) -> Self {
        let max = max.max(1);
        Self {
            max,
            max_per_client: max_per_client.unwrap_or(max / CLIENTS_PART).max(1),
            trusted,
        }
    }

    /// No limit at all.
    #[must_use]
    pub fn none() -> Self {
        Self::new(usize::MAX, Some(usize::MAX), Networks::default())
    }

    /// Whose connections one from this address is counted among; none where they are not counted.
    fn client(&self, address: IpAddr) -> Option<ClientNetwork> {
        let is_counted = self.max_per_client < self.max && !self.trusted.contains(address);
        is_counted.then(|| ClientNetwork::of(address))
    }
}

impl Connections {
    /// So many as `limits` say, counted in `metrics`, if anybody looks at them.
    #[must_use]
    pub fn new(limits: ConnectionLimits, metrics: Option<ConnectionMetrics>) -> Arc<Self> {
        Arc::new(Self {
            limits: ArcSwap::from_pointee(limits),
            started: Instant::now(),
            open: Mutex::default(),
            closed_one: Notify::new(),
            metrics,
        })
    }

    /// Goes by other limits from now on. Those that are open stay, however many they are.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        self.limits.store(Arc::new(limits));
    }

    /// Whether an address is one of the operator's own machines.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.limits.load().trusted.contains(address)
    }

    /// Takes in one more from this address, once there is room for it.
    ///
    /// # Errors
    /// [`ClientFull`] at once, where the client has all that it may have.
    pub async fn admit(self: &Arc<Self>, address: IpAddr) -> Result<OpenConnection, ClientFull> {
        let client = self.limits.load().client(address);
        // Whoever gives way to another of the same client makes room for it among all, too.
        let mut has_asked = match client {
            Some(client) => self.make_room(&mut self.open.lock(), client)?,
            None => false,
        };
        loop {
            let closed_one = self.closed_one.notified();
            tokio::pin!(closed_one);
            closed_one.as_mut().enable();
            if let Some(open) = self.add(client) {
                return Ok(open);
            }
            if !std::mem::take(&mut has_asked) {
                self.close_one();
            }
            // One that is asked to close may have begun to be served meanwhile.
            let _ = timeout(CLOSE_PATIENCE, closed_one).await;
        }
    }

    fn add(self: &Arc<Self>, client: Option<ClientNetwork>) -> Option<OpenConnection> {
        let open = &mut *self.open.lock();
        if open.all.len() >= self.limits.load().max {
            return None;
        }
        let (entry, closing) = Entry::new(open.next, self.now(), open.is_closing);
        open.next += 1;
        open.all.insert(entry.number, Arc::clone(&entry));
        if let Some(client) = client {
            open.clients
                .entry(client)
                .or_default()
                .entries
                .push(Arc::clone(&entry));
        }
        if let Some(metrics) = &self.metrics {
            metrics.open.inc();
        }
        Some(OpenConnection {
            connections: Arc::clone(self),
            entry,
            closing,
            client,
        })
    }

    /// Sees to it that a client has room for one more of its own. Gives back whether one of them was asked to
    /// close.
    fn make_room(&self, open: &mut Open, client: ClientNetwork) -> Result<bool, ClientFull> {
        let Some(Client { entries, candidates }) = open.clients.get_mut(&client) else {
            return Ok(false);
        };
        if entries.len() < self.limits.load().max_per_client {
            return Ok(false);
        }
        let first = candidates.next(|| entries.iter());
        if let Some(metrics) = &self.metrics {
            match first {
                Some(_) => metrics.closed_for_client.inc(),
                None => metrics.refused_to_client.inc(),
            }
        }
        let first = first.ok_or(ClientFull)?;
        first.ask_to_close();
        remove(entries, &first);
        Ok(true)
    }

    /// Asks one to close, if there is one that may.
    fn close_one(&self) {
        let Open { all, candidates, .. } = &mut *self.open.lock();
        let Some(first) = candidates.next(|| all.values()) else {
            return;
        };
        first.ask_to_close();
        if let Some(metrics) = &self.metrics {
            metrics.closed_for_room.inc();
        }
    }

    /// Asks all of them to close once they are idle, and all that come after. What a client has sent already, or is
    /// just sending, is waited for with `patience`: closed at once, a connection takes it along.
    pub fn close_all(&self, patience: Duration) {
        let mut open = self.open.lock();
        open.is_closing = true;
        open.patience = patience;
        open.all.values().for_each(|entry| entry.ask_to_close());
    }

    /// Waits until none is open.
    pub async fn all_closed(&self) {
        loop {
            let closed_one = self.closed_one.notified();
            if self.open.lock().all.is_empty() {
                return;
            }
            closed_one.await;
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }
}

fn remove(entries: &mut Vec<Arc<Entry>>, gone: &Arc<Entry>) {
    if let Some(index) = entries.iter().position(|entry| Arc::ptr_eq(entry, gone)) {
        entries.swap_remove(index);
    }
}

impl OpenConnection {
    /// Says whose the connection is, where that is known only now: it was accepted from somebody who passes
    /// others' on. From now on it counts among those of that address.
    ///
    /// # Errors
    /// [`ClientFull`], and then it should be closed.
    pub fn identify(&mut self, address: IpAddr) -> Result<(), ClientFull> {
        let connections = Arc::clone(&self.connections);
        let client = connections.limits.load().client(address);
        if client == self.client {
            return Ok(());
        }
        let open = &mut *connections.open.lock();
        if let Some(client) = client {
            connections.make_room(open, client)?;
            let entries = &mut open.clients.entry(client).or_default().entries;
            entries.push(Arc::clone(&self.entry));
        }
        open.remove_of(self.client, &self.entry);
        self.client = client;
        Ok(())
    }

    /// Whether the connection should close as soon as it is idle.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until the connection should be told that it closes.
    pub async fn asked_to_close(&self) {
        let mut closing = self.closing.clone();
        // There is no error: who could ask for it is part of this.
        let _ = closing.wait_for(|is_closing| *is_closing).await;
    }

    /// Waits until the connection should close if nothing has come on it.
    pub async fn closed(&self) {
        self.asked_to_close().await;
        let patience = self.patience();
        if !patience.is_zero() {
            // On the heap, because else each idle connection held the room for it.
            Box::pin(sleep(patience)).await;
        }
    }

    /// How long it may still wait for a request once it should close.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.connections.open.lock().patience
    }

    /// Lets the connection close as soon as it is idle: it has been there for long enough.
    pub fn retire(&self) {
        self.entry.ask_to_close();
    }

    /// Something of a head came, or has to come soon.
    pub fn begin_head(&self) {
        self.entry.set(Activity::ReadsHead(self.connections.now()));
    }

    /// There is a whole head.
    pub fn begin_service(&self) {
        self.entry.set(Activity::IsServed);
    }

    /// The answer is out, and nothing has come since.
    pub fn begin_idling(&self) {
        self.entry.set(Activity::IsIdle(self.connections.now()));
    }

    /// The client did not get as far as to speak TLS.
    pub(super) fn count_failed_handshake(&self) {
        if let Some(metrics) = &self.connections.metrics {
            metrics.handshakes_failed.inc();
        }
    }

    /// Whether there is a whole head that is not answered yet.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.entry.activity() == Activity::IsServed
    }
}

impl Open {
    fn remove_of(&mut self, client: Option<ClientNetwork>, gone: &Arc<Entry>) {
        let Some(client) = client else { return };
        if let Some(Client { entries, .. }) = self.clients.get_mut(&client) {
            remove(entries, gone);
            if entries.is_empty() {
                self.clients.remove(&client);
            }
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let connections = &self.connections;
        let mut open = connections.open.lock();
        open.all.remove(&self.entry.number);
        open.remove_of(self.client, &self.entry);
        drop(open);
        connections.closed_one.notify_waiters();
        if let Some(metrics) = &connections.metrics {
            metrics.open.dec();
        }
    }
}

#[cfg(test)]
mod tests;
