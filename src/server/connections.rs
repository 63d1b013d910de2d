use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::telemetry::ConnectionMetrics;

/// How long a connection that was asked to close may take before another is asked as well.
const CLOSE_PATIENCE: Duration = Duration::from_millis(100);
/// How many are looked up at once of those that may be closed, because each look passes over all of them.
const CANDIDATES: usize = 64;

/// The connections that are open at one address, at most so many. Where one more comes, the oldest that has
/// not sent a whole head is closed to make room, else the one that has been idle for longest. One that is
/// being served is not.
#[derive(Debug)]
pub struct Connections {
    max: usize,
    started: Instant,
    open: Mutex<Open>,
    closed_one: Notify,
    metrics: Option<ConnectionMetrics>,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<Entry>>,
    next: u64,
    is_closing: bool,
    /// Numbers of those that may be closed, with their activity when that was seen; the next one last.
    candidates: Vec<(u64, Activity)>,
}

#[derive(Debug)]
struct Entry {
    activity: AtomicU64,
    close: watch::Sender<bool>,
}

/// One open connection's place among them; dropped, it is closed.
#[derive(Debug)]
pub struct OpenConnection {
    connections: Arc<Connections>,
    number: u64,
    entry: Arc<Entry>,
    closing: watch::Receiver<bool>,
}

/// What a connection is doing, and since when in milliseconds. Those that are closed first come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Activity {
    ReadsHead(u64),
    IsIdle(u64),
    IsServed,
}

impl Activity {
    const fn to_bits(self) -> u64 {
        match self {
            Self::ReadsHead(since) => since << 2,
            Self::IsIdle(since) => since << 2 | 1,
            Self::IsServed => 2,
        }
    }

    const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::ReadsHead(bits >> 2),
            1 => Self::IsIdle(bits >> 2),
            _ => Self::IsServed,
        }
    }
}

impl Entry {
    fn activity(&self) -> Activity {
        Activity::from_bits(self.activity.load(Ordering::Relaxed))
    }

    fn set(&self, activity: Activity) {
        self.activity.store(activity.to_bits(), Ordering::Relaxed);
    }
}

impl Connections {
    /// At most `max`, and one at least, counted in `metrics`, if anybody looks at them.
    #[must_use]
    pub fn new(max: usize, metrics: Option<ConnectionMetrics>) -> Arc<Self> {
        Arc::new(Self {
            max: max.max(1),
            started: Instant::now(),
            open: Mutex::default(),
            closed_one: Notify::new(),
            metrics,
        })
    }

    /// Takes in one more, once there is room for it.
    pub async fn admit(self: &Arc<Self>) -> OpenConnection {
        loop {
            let closed_one = self.closed_one.notified();
            tokio::pin!(closed_one);
            closed_one.as_mut().enable();
            if let Some(open) = self.add() {
                return open;
            }
            self.close_one();
            // One that is asked to close may have begun to be served meanwhile.
            let _ = timeout(CLOSE_PATIENCE, closed_one).await;
        }
    }

    fn add(self: &Arc<Self>) -> Option<OpenConnection> {
        let mut open = self.open.lock();
        if open.connections.len() >= self.max {
            return None;
        }
        let (close, closing) = watch::channel(open.is_closing);
        let entry = Arc::new(Entry {
            activity: AtomicU64::new(Activity::ReadsHead(self.now()).to_bits()),
            close,
        });
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, Arc::clone(&entry));
        if let Some(metrics) = &self.metrics {
            metrics.open.inc();
        }
        Some(OpenConnection {
            connections: Arc::clone(self),
            number,
            entry,
            closing,
        })
    }

    /// Asks one to close, if there is one that may.
    fn close_one(&self) {
        let open = &mut *self.open.lock();
        if open.candidates.is_empty() {
            open.candidates = candidates(&open.connections);
        }
        while let Some((number, activity)) = open.candidates.pop() {
            let entry = open.connections.get(&number);
            if let Some(entry) = entry.filter(|entry| entry.activity() == activity) {
                entry.close.send_replace(true);
                if let Some(metrics) = &self.metrics {
                    metrics.closed_for_room.inc();
                }
                return;
            }
        }
    }

    /// Asks all of them to close once they are idle, and all that come after.
    pub fn close_all(&self) {
        let mut open = self.open.lock();
        open.is_closing = true;
        for entry in open.connections.values() {
            entry.close.send_replace(true);
        }
    }

    /// Waits until none is open.
    pub async fn all_closed(&self) {
        loop {
            let closed_one = self.closed_one.notified();
            if self.open.lock().connections.is_empty() {
                return;
            }
            closed_one.await;
        }
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }
}

/// Those that may be closed, the first of them last.
fn candidates(connections: &HashMap<u64, Arc<Entry>>) -> Vec<(u64, Activity)> {
    let mut candidates: Vec<_> = connections
        .iter()
        .filter(|(_, entry)| !*entry.close.borrow())
        .map(|(number, entry)| (*number, entry.activity()))
        .filter(|(_, activity)| *activity != Activity::IsServed)
        .collect();
    let order = |(number, activity): &(u64, Activity)| (*activity, *number);
    if candidates.len() > CANDIDATES {
        candidates.select_nth_unstable_by_key(CANDIDATES, order);
        candidates.truncate(CANDIDATES);
    }
    candidates.sort_unstable_by_key(|candidate| Reverse(order(candidate)));
    candidates
}

impl OpenConnection {
    /// Becomes true when the connection should close as soon as it is idle.
    #[must_use]
    pub const fn closing(&self) -> &watch::Receiver<bool> {
        &self.closing
    }

    /// Waits until the connection should close.
    pub async fn closed(&self) {
        let mut closing = self.closing.clone();
        // There is no error: who could ask for it is part of this.
        let _ = closing.wait_for(|is_closing| *is_closing).await;
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

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.open.lock().connections.remove(&self.number);
        self.connections.closed_one.notify_waiters();
        if let Some(metrics) = &self.connections.metrics {
            metrics.open.dec();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::pin;

    use super::*;

    fn is_closing(connection: &OpenConnection) -> bool {
        *connection.closing().borrow()
    }

    #[tokio::test]
    async fn those_that_are_open_and_those_that_come_later_are_asked_to_close() {
        let connections = Connections::new(usize::MAX, None);
        let early = connections.admit().await;
        assert!(!is_closing(&early));
        connections.close_all();
        let late = connections.admit().await;
        assert!(is_closing(&early) && is_closing(&late));
        let all_closed = connections.all_closed();
        pin!(all_closed);
        assert!(poll!(&mut all_closed).is_pending());
        drop((early, late));
        all_closed.await;
    }

    #[tokio::test]
    async fn the_oldest_without_a_head_makes_room_and_then_the_longest_idle() {
        let connections = Connections::new(4, None);
        let served = connections.admit().await;
        served.begin_service();
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(connections.admit().await);
        }
        let [long_idle, idle, silent] = <[OpenConnection; 3]>::try_from(others).unwrap();
        long_idle.begin_idling();
        idle.entry.set(Activity::IsIdle(connections.now() + 1));
        let admission = connections.admit();
        pin!(admission);
        assert!(poll!(&mut admission).is_pending());
        assert!(is_closing(&silent));
        assert!(!is_closing(&served) && !is_closing(&long_idle) && !is_closing(&idle));
        drop(silent);
        let next = admission.await;
        next.begin_service();
        let admission = connections.admit();
        pin!(admission);
        assert!(poll!(&mut admission).is_pending());
        assert!(is_closing(&long_idle) && !is_closing(&idle));
        drop(long_idle);
        drop(admission.await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_waits_while_all_are_served() {
        let connections = Connections::new(1, None);
        let served = connections.admit().await;
        served.begin_service();
        let admission = connections.admit();
        pin!(admission);
        assert!(timeout(Duration::from_secs(60), &mut admission).await.is_err());
        assert!(!is_closing(&served));
        served.begin_idling();
        assert!(timeout(CLOSE_PATIENCE * 2, &mut admission).await.is_err());
        assert!(is_closing(&served), "it is idle by now");
        drop(served);
        admission.await;
    }
}
