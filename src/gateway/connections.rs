use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// The connections of clients that are open, each with the means to ask it to close once it is idle.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: Mutex<Open>,
    closed_one: Notify,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, watch::Sender<bool>>,
    next: u64,
    is_closing: bool,
}

/// One open connection's place among them; dropped, it is closed.
#[derive(Debug)]
pub(super) struct OpenConnection {
    connections: Arc<Connections>,
    number: u64,
    closing: watch::Receiver<bool>,
}

impl Connections {
    /// Takes in one more.
    pub(super) fn add(self: &Arc<Self>) -> OpenConnection {
        let mut open = self.open.lock();
        let (close, closing) = watch::channel(open.is_closing);
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, close);
        OpenConnection {
            connections: Arc::clone(self),
            number,
            closing,
        }
    }

    /// Asks all of them to close, and all that come after.
    pub(super) fn close_idle(&self) {
        let mut open = self.open.lock();
        open.is_closing = true;
        for close in open.connections.values() {
            close.send_replace(true);
        }
    }

    /// Waits until none is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let closed_one = self.closed_one.notified();
            if self.open.lock().connections.is_empty() {
                return;
            }
            closed_one.await;
        }
    }
}

impl OpenConnection {
    /// Becomes true when the connection should close as soon as it is idle.
    pub(super) const fn closing(&self) -> &watch::Receiver<bool> {
        &self.closing
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.open.lock().connections.remove(&self.number);
        self.connections.closed_one.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_that_are_open_and_those_that_come_later_are_asked_to_close() {
        let connections = Arc::new(Connections::default());
        let early = connections.add();
        assert!(!*early.closing().borrow());
        connections.close_idle();
        let late = connections.add();
        assert!(*early.closing().borrow() && *late.closing().borrow());
        let all_closed = connections.all_closed();
        tokio::pin!(all_closed);
        assert!(futures_util::poll!(&mut all_closed).is_pending());
        drop((early, late));
        all_closed.await;
    }
}
