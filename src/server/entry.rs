use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::watch;

/// How many are looked up at once of those that may be closed, because each look passes over all of them.
const CANDIDATES: usize = 64;

/// What is known of an open connection by whoever may close it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    activity: AtomicU64,
    close: watch::Sender<bool>,
}

/// What a connection is doing, and since when in milliseconds. Those that are closed first come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Activity {
    ReadsHead(u64),
    IsIdle(u64),
    IsServed,
}

/// Connections that may be closed, with their activity when that was seen; the next one last.
#[derive(Debug, Default)]
pub(super) struct Candidates(Vec<(Weak<Entry>, Activity)>);

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
    /// The entry of a connection that was accepted at `now`, and what tells it to close.
    pub(super) fn new(number: u64, now: u64, is_closing: bool) -> (Arc<Self>, watch::Receiver<bool>) {
        let (close, closing) = watch::channel(is_closing);
        let entry = Self {
            number,
            activity: AtomicU64::new(Activity::ReadsHead(now).to_bits()),
            close,
        };
        (Arc::new(entry), closing)
    }

    pub(super) fn activity(&self) -> Activity {
        Activity::from_bits(self.activity.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, activity: Activity) {
        self.activity.store(activity.to_bits(), Ordering::Relaxed);
    }

    /// Asks the connection to close as soon as it is idle.
    pub(super) fn ask_to_close(&self) {
        self.close.send_replace(true);
    }

    fn is_asked(&self) -> bool {
        *self.close.borrow()
    }
}

impl Candidates {
    /// The one that is to be closed first of those that may be; none where there is none. What was seen
    /// earlier holds as long as it holds of a connection; then all of `entries` are looked at.
    pub(super) fn next<'a, I: Iterator<Item = &'a Arc<Entry>>>(
        &mut self,
        entries: impl Fn() -> I,
    ) -> Option<Arc<Entry>> {
        let mut is_new = false;
        loop {
            while let Some((entry, activity)) = self.0.pop() {
                let entry = entry.upgrade();
                let may_close = |entry: &Arc<Entry>| entry.activity() == activity && !entry.is_asked();
                if let Some(entry) = entry.filter(may_close) {
                    return Some(entry);
                }
            }
            if is_new {
                return None;
            }
            self.0 = first_to_close(entries());
            is_new = true;
        }
    }
}

fn first_to_close<'a>(entries: impl Iterator<Item = &'a Arc<Entry>>) -> Vec<(Weak<Entry>, Activity)> {
    // First what costs least: a client whose connections are all served may come again and again.
    let mut candidates: Vec<_> = entries
        .map(|entry| (entry, entry.activity()))
        .filter(|(entry, activity)| *activity != Activity::IsServed && !entry.is_asked())
        .collect();
    let order = |(entry, activity): &(&Arc<Entry>, Activity)| (*activity, entry.number);
    if candidates.len() > CANDIDATES {
        candidates.select_nth_unstable_by_key(CANDIDATES, order);
        candidates.truncate(CANDIDATES);
    }
    candidates.sort_unstable_by_key(|candidate| Reverse(order(candidate)));
    let candidates = candidates.into_iter();
    candidates
        .map(|(entry, activity)| (Arc::downgrade(entry), activity))
        .collect()
}
