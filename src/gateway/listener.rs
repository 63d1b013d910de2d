use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Gateway;
use super::protocol;
use super::workers::{self, Heartbeat, Worker, Workers};
use crate::server::{Accepted, Acceptor, Connections, TlsListener};

/// How long the workers may take to drop what is still there at the end.
const LAST_PATIENCE: Duration = Duration::from_millis(100);
/// How long connections are still accepted that were made before the gateway stopped: with the listener the
/// kernel resets those that wait.
const BACKLOG_TIME: Duration = Duration::from_millis(50);
/// How long a connection on which nothing is asked may still be used once the gateway stops. Who is just sending
/// a request is answered, and told that it was the last.
const IDLE_PATIENCE: Duration = Duration::from_secs(1);

/// A gateway that listens.
pub struct Running {
    gateway: Arc<Gateway>,
    connections: Arc<Connections>,
    workers: Workers,
    /// Dropped, nothing more is accepted.
    accepting: oneshot::Sender<()>,
    /// Done when the listener is closed.
    accepted: oneshot::Receiver<()>,
}

/// Starts `threads` workers that answer what comes in at `listener`, in TLS if there is any. No worker steals
/// from another: a connection stays where it is served, and so do the upstream connections that it uses. Each
/// new one goes to the worker that has the fewest.
///
/// # Errors
/// Where a worker cannot be started.
pub fn start(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: Option<Arc<TlsListener>>,
    connections: Arc<Connections>,
    threads: usize,
) -> io::Result<Running> {
    let workers = Workers::start(threads)?;
    let all = workers.all();
    let (accepting, stopped) = oneshot::channel::<()>();
    let (end, accepted) = oneshot::channel::<()>();
    if let Some(first) = workers::least_loaded(&all) {
        let (gateway, connections) = (Arc::clone(&gateway), Arc::clone(&connections));
        let workers = Arc::clone(&all);
        first.run(async move {
            // The last to be dropped, after the listener.
            let _end = end;
            let mut acceptor = match Acceptor::new(listener, connections) {
                Ok(acceptor) => acceptor,
                Err(error) => return tracing::error!(%error, "nothing can be accepted"),
            };
            if gateway.current.load().listen.has_proxy_protocol {
                // Anybody else could say to be whoever they like.
                acceptor = acceptor.only_trusted(gateway.metrics.clients.untrusted.clone());
            }
            let mut accepting = pin!(accept(gateway, acceptor, tls, workers));
            tokio::select! {
                biased;
                // An error means that the other side was dropped, which is what is waited for.
                _ = stopped => {}
                () = &mut accepting => {}
            }
            let _ = timeout(BACKLOG_TIME, accepting).await;
        });
    }
    Ok(Running {
        gateway,
        connections,
        workers,
        accepting,
        accepted,
    })
}

impl Running {
    /// What proves that the workers are at work.
    #[must_use]
    pub fn heartbeat(&self) -> Heartbeat {
        Heartbeat::new(self.workers.all())
    }

    /// Stops accepting, tells clients with the next answer that their connection ends, closes idle ones, and lets
    /// what is in flight finish until `deadline` is done. Gives back how many requests were cut off.
    pub async fn stop(self, deadline: impl Future<Output = ()>) -> i64 {
        self.gateway.is_stopping.store(true, Ordering::Relaxed);
        drop(self.accepting);
        self.connections.close_all(IDLE_PATIENCE);
        let finished = async {
            // An error means that it is closed.
            let _ = self.accepted.await;
            self.connections.all_closed().await;
        };
        let cut_off = tokio::select! {
            () = finished => 0,
            () = deadline => self.gateway.metrics.in_flight.get(),
        };
        self.workers.stop(LAST_PATIENCE).await;
        cut_off
    }
}

/// Accepts for ever, and gives each connection to a worker.
async fn accept(
    gateway: Arc<Gateway>,
    mut acceptor: Acceptor,
    tls: Option<Arc<TlsListener>>,
    workers: Arc<[Worker]>,
) {
    loop {
        let Accepted { socket, peer, open } = acceptor.accept().await;
        // Out of the reactor that accepted it: it belongs to the one of the worker that serves it.
        match (socket.into_std(), workers::least_loaded(&workers)) {
            (Ok(socket), Some(worker)) => {
                worker.give(protocol::serve(
                    Arc::clone(&gateway),
                    socket,
                    tls.clone(),
                    peer,
                    open,
                ));
            }
            (Err(error), _) => tracing::warn!(%error, "a connection cannot be handed to a worker"),
            (_, None) => {}
        }
    }
}
