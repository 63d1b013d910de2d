use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{self, TcpStream};
use tokio::time::sleep;

use super::connections::{Connections, OpenConnection};

/// How many connections may wait to be accepted: as many as the system allows, which lowers it to its own
/// limit (`net.core.somaxconn` on Linux).
const BACKLOG: i32 = i32::MAX;
/// How long a connection is silent before its client's machine is asked whether it is still there.
const PROBE_AFTER: Duration = Duration::from_secs(15);
/// How long that machine may leave unacknowledged what was sent, or take nothing of it.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// How many bytes that were not sent yet the kernel takes for one client.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 * 1024;
/// How long to wait before the next try where the machine lacks something that a connection needs.
const LACK_PAUSE: Duration = Duration::from_millis(50);

/// Binds an address, so that a fault is known before anything starts.
///
/// # Errors
/// Where the address is taken or not this machine's; the error names it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bind = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Who starts anew need not wait for the connections of the process before.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        set_up(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Sets what every connection that is accepted inherits.
pub(super) fn set_up(socket: &Socket) -> io::Result<()> {
    // Small answers on kept connections: without this the kernel holds them back for the client's ACK.
    socket.set_tcp_nodelay(true)?;
    // A machine that vanished says nothing, so it is asked.
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_AFTER / 3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    {
        // One that takes nothing of what was sent is as good as gone.
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        // What waits for a client waits here, where it is seen and bounded, and not in the kernel.
        socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    }
    Ok(())
}

/// Accepts connections, no more at a time than there may be.
#[derive(Debug)]
pub struct Acceptor {
    listener: net::TcpListener,
    connections: Arc<Connections>,
    /// What counts connections of others than the operator's own machines, where none of them may come.
    untrusted: Option<IntCounter>,
    is_lacking: bool,
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Its socket.
    pub socket: TcpStream,
    /// The client's address.
    pub peer: SocketAddr,
    /// Its place among those that are open.
    pub open: OpenConnection,
}

impl Acceptor {
    /// Accepts at `listener`, which [`bind`] made.
    ///
    /// # Errors
    /// Where the runtime cannot watch the socket.
    pub fn new(listener: TcpListener, connections: Arc<Connections>) -> io::Result<Self> {
        Ok(Self {
            listener: net::TcpListener::from_std(listener)?,
            connections,
            untrusted: None,
            is_lacking: false,
        })
    }

    /// Closes what comes from elsewhere than the networks that the limits trust, before it can take anybody's
    /// place, and counts it in `refused`.
    #[must_use]
    pub fn only_trusted(self, refused: IntCounter) -> Self {
        Self {
            untrusted: Some(refused),
            ..self
        }
    }

    /// Waits for the next connection, and for a place for it. One whose client has all the places that it may
    /// have is closed at once.
    pub async fn accept(&mut self) -> Accepted {
        loop {
            match self.listener.accept().await {
                Ok((socket, peer)) => {
                    self.is_lacking = false;
                    if let Some(refused) = &self.untrusted
                        && !self.connections.trusts(peer.ip())
                    {
                        refused.inc();
                        continue;
                    }
                    if let Ok(open) = self.connections.admit(peer.ip()).await {
                        return Accepted { socket, peer, open };
                    }
                }
                Err(error) if is_of_one_client(&error) => {
                    tracing::debug!(%error, "a client left before it was accepted");
                }
                // This machine lacks descriptors, buffers or memory. The client waits in the backlog, where
                // it is not lost; to ask again at once would only take the time in which others might give
                // theirs back.
                Err(error) => {
                    if !self.is_lacking {
                        tracing::warn!(%error, "no connection can be accepted for now");
                    }
                    self.is_lacking = true;
                    sleep(LACK_PAUSE).await;
                }
            }
        }
    }
}

/// Whether accepting failed for reasons of one connection, so that the next one may be there at once.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as StdStream;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpSocket;

    use super::*;
    use crate::server::{ConnectionLimits, DescriptorLimit};

    #[test]
    fn as_many_wait_to_be_accepted_as_the_system_allows() {
        DescriptorLimit::raise().unwrap();
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        let allowed = allowed.map_or(128, |number| number.trim().parse().unwrap());
        // More than the usual constants, and not more than are quickly made.
        let waiting: Vec<_> = (0..allowed.min(1500))
            .map(|_| StdStream::connect_timeout(&address, Duration::from_secs(60)).unwrap())
            .collect();
        assert!(!waiting.is_empty());
    }

    #[tokio::test]
    async fn what_comes_from_elsewhere_is_closed_and_takes_nobodys_place() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let networks = ["127.0.0.1".parse().unwrap()].into_iter().collect();
        let limits = ConnectionLimits::new(1, None, networks);
        let refused = IntCounter::new("refused", "refused").unwrap();
        let acceptor = Acceptor::new(listener, Connections::new(limits, None)).unwrap();
        let mut acceptor = acceptor.only_trusted(refused.clone());
        let _good = TcpStream::connect(address).await.unwrap();
        let accepted = acceptor.accept().await;
        let elsewhere = TcpSocket::new_v4().unwrap();
        elsewhere.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
        let mut stranger = elsewhere.connect(address).await.unwrap();
        let mut byte = [0];
        tokio::select! {
            _ = acceptor.accept() => panic!("nobody else came"),
            closed = stranger.read(&mut byte) => assert_eq!(closed.unwrap(), 0),
        }
        assert_eq!(refused.get(), 1);
        assert!(!accepted.open.is_closing(), "it need not make room");
    }
}
