use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use thread_local::ThreadLocal;

use super::link::Link;

/// Idle connections, apart for each worker thread: a socket belongs to the reactor of the worker that opened it.
#[derive(Default)]
pub(super) struct Pool {
    idle: ThreadLocal<RefCell<Vec<Idle>>>,
}

struct Idle {
    /// Boxed, because a connection is large and would be copied on its way in and out.
    link: Box<Link>,
    since: Instant,
}

/// Shorter than what origins grant (60 s and more), so that the gateway is mostly the one who closes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_PER_WORKER: usize = 128;

impl Pool {
    /// The connection that was used last, if it is still good and leads where `is_wanted`.
    pub(super) fn take(&self, is_wanted: impl Fn(SocketAddr) -> bool) -> Option<Box<Link>> {
        let mut idle = self.idle.get_or_default().borrow_mut();
        loop {
            let Idle { mut link, since } = idle.pop()?;
            if since.elapsed() < IDLE_TIMEOUT && is_wanted(link.address) && link.is_reusable() {
                return Some(link);
            }
        }
    }

    /// Keeps a connection for the next request, and lets go of those that nobody needed for long.
    pub(super) fn put(&self, mut link: Box<Link>) {
        if !link.is_reusable() {
            return;
        }
        let mut idle = self.idle.get_or_default().borrow_mut();
        if idle
            .first()
            .is_some_and(|oldest| oldest.since.elapsed() >= IDLE_TIMEOUT)
        {
            idle.retain(|idle| idle.since.elapsed() < IDLE_TIMEOUT);
        }
        if idle.len() < IDLE_PER_WORKER {
            idle.push(Idle {
                link,
                since: Instant::now(),
            });
        }
    }
}
