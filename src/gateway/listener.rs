use std::io;
use std::net::{self, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::connection;
use super::connections::Connections;
use super::state::Gateway;
use super::workers::{self, Worker, Workers};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long to wait before the next try where the machine lacks something that a connection needs.
const LACK_PAUSE: Duration = Duration::from_millis(50);
/// How long the workers may take to drop what is still there at the end.
const LAST_PATIENCE: Duration = Duration::from_millis(100);

/// A gateway that listens.
pub struct Running {
    gateway: Arc<Gateway>,
    connections: Arc<Connections>,
    workers: Workers,
    /// Dropped, nothing more is accepted.
    accepting: oneshot::Sender<()>,
}

/// Binds the downstream address, so that a fault is known before anything starts.
///
/// # Errors
/// Where the address is taken or not this machine's; the error names it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bind = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A gateway that starts anew need not wait for the connections of the one before.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Starts `threads` workers that answer what comes in at `listener`. No worker steals from another: a
/// connection stays where it is served, and so do the upstream connections that it uses. Each new one goes to
/// the worker that has the fewest.
///
/// # Errors
/// Where a worker cannot be started.
pub fn start(gateway: Arc<Gateway>, listener: TcpListener, threads: usize) -> io::Result<Running> {
    let workers = Workers::start(threads)?;
    let all = workers.all();
    let connections = Arc::<Connections>::default();
    let (accepting, stopped) = oneshot::channel::<()>();
    if let Some(first) = workers::least_loaded(&all) {
        let accept = accept(
            listener,
            Arc::clone(&gateway),
            Arc::clone(&connections),
            Arc::clone(&all),
        );
        first.run(async move {
            tokio::select! {
                biased;
                // An error means that the other side was dropped, which is what is waited for.
                _ = stopped => {}
                outcome = accept => if let Err(error) = outcome {
                    tracing::error!(%error, "nothing can be accepted");
                }
            }
        });
    }
    Ok(Running {
        gateway,
        connections,
        workers,
        accepting,
    })
}

impl Running {
    /// Stops accepting, closes idle connections, and lets what is in flight finish until `deadline` is done.
    /// Gives back how many requests were cut off.
    pub async fn stop(self, deadline: impl Future<Output = ()>) -> i64 {
        self.gateway.is_stopping.store(true, Ordering::Relaxed);
        drop(self.accepting);
        self.connections.close_idle();
        let cut_off = tokio::select! {
            () = self.connections.all_closed() => 0,
            () = deadline => self.gateway.metrics.in_flight.get(),
        };
        self.workers.stop(LAST_PATIENCE).await;
        cut_off
    }
}

/// Accepts for ever, and gives each connection to a worker.
async fn accept(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    connections: Arc<Connections>,
    workers: Arc<[Worker]>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut is_lacking = false;
    loop {
        let accepted = listener.accept().await;
        match accepted {
            Ok((socket, peer)) => {
                is_lacking = false;
                let socket = match taken_out(socket) {
                    Ok(socket) => socket,
                    Err(error) => {
                        tracing::debug!(%error, "a client left before it was served");
                        continue;
                    }
                };
                let open = connections.add();
                if let Some(worker) = workers::least_loaded(&workers) {
                    worker.give(connection::serve(Arc::clone(&gateway), socket, peer, open));
                }
            }
            Err(error) if is_of_one_client(&error) => {
                tracing::debug!(%error, "a client left before it was accepted");
            }
            // This machine lacks descriptors, buffers or memory. The client waits in the backlog, where it is
            // not lost; to ask again at once would only take the time in which others might give theirs back.
            Err(error) => {
                if !is_lacking {
                    tracing::warn!(%error, "no connection can be accepted for now");
                }
                is_lacking = true;
                sleep(LACK_PAUSE).await;
            }
        }
    }
}

/// Takes a connection out of the reactor that accepted it: it belongs to the one of the worker that serves
/// it.
fn taken_out(socket: TcpStream) -> io::Result<net::TcpStream> {
    // Small answers on kept connections: without this the kernel holds them back for the client's ACK.
    socket.set_nodelay(true)?;
    socket.into_std()
}

/// Whether accepting failed for reasons of one connection, so that the next one may be there at once.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
