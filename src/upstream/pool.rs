use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thread_local::ThreadLocal;

use super::connection::Http1Connection;

/// Idle connections, apart for each worker thread: a socket belongs to the reactor of the worker that opened
/// it.
#[derive(Default)]
pub(super) struct Pool {
    /// Behind a lock that nobody ever waits for, but for the moment in which idle ones are reaped.
    idle: ThreadLocal<Mutex<Vec<Idle>>>,
}

struct Idle {
    /// Boxed, so that it is not copied on its way in and out.
    connection: Box<Http1Connection>,
    since: Instant,
}

/// Shorter than what origins grant (60 s and more), so that the gateway is mostly the one who closes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Of a thousand in flight some hundreds end between two looks at the sockets, and as many begin: with room for fewer
/// each of those would open a connection of its own. What is idle is one socket and nothing else.
const IDLE_PER_WORKER: usize = 512;
/// How long a connection may be used that leads where its name does not any more. A name that shows a few of
/// many addresses, in turn, is no reason to leave one that works; a service that has moved away for good is.
const UNNAMED_LIFETIME: Duration = Duration::from_secs(10 * 60);

impl Pool {
    /// The connection that was used last, if it is still good; `is_named` says of an address whether the
    /// upstream's name leads there.
    pub(super) fn take(&self, is_named: impl Fn(SocketAddr) -> bool) -> Option<Box<Http1Connection>> {
        let mut idle = self.idle.get_or_default().lock();
        loop {
            let mut last = idle.pop()?;
            let is_outdated =
                last.connection.opened_at.elapsed() >= UNNAMED_LIFETIME && !is_named(last.connection.address);
            if last.is_good() && !is_outdated {
                return Some(last.connection);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, mut connection: Box<Http1Connection>) {
        if !connection.is_reusable() {
            return;
        }
        let mut idle = self.idle.get_or_default().lock();
        if idle.len() < IDLE_PER_WORKER {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Closes what the upstream has closed, and what nobody has needed for long.
    pub(super) fn reap(&self) {
        for idle in &self.idle {
            idle.lock().retain_mut(Idle::is_good);
        }
    }
}

impl Idle {
    fn is_good(&mut self) -> bool {
        self.since.elapsed() < IDLE_TIMEOUT && self.connection.is_reusable()
    }
}

#[cfg(test)]
mod tests;
