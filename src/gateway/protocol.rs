//! What a client speaks: plain or TLS, HTTP/1.1 or HTTP/2.

use std::net::{self, IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;
use tokio::select;

use super::connection::Connection;
use super::lifetime::Lifetime;
use super::proxy_header::{ProxyHeaderError, read_proxy_header};
use super::{Gateway, connection, http2};
use crate::config::Listen;
use crate::server::{OpenConnection, TlsListener, establish};
use crate::tenancy::ClientCertificate;

/// Serves a connection to its end.
pub(super) async fn serve(
    gateway: Arc<Gateway>,
    socket: net::TcpStream,
    tls: Option<Arc<TlsListener>>,
    peer: SocketAddr,
    mut open: OpenConnection,
) {
    // What a connection goes by is what held when it was accepted; each of its requests has its own.
    let configuration = gateway.configuration();
    let listen = &configuration.listen;
    let lifetime = Lifetime::begin(listen);
    let mut socket = match TcpStream::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(%error, "a client's connection could not be taken over"),
    };
    let Some(client) = identify(&gateway, listen, &mut socket, peer, &mut open).await else {
        return;
    };
    // Here and not where connections are accepted, so that nobody waits for a client that is slow at it.
    let left = listen.header_timeout.saturating_sub(lifetime.age());
    let Some(socket) = establish(tls.as_deref(), socket, &open, left).await else {
        return;
    };
    drop(configuration);
    let certificate = socket.client_certificate().and_then(ClientCertificate::read);
    let connection = Arc::new(Connection::new(gateway, client, lifetime, open, certificate));
    // HTTP/2 is what both sides have agreed on during the handshake, and never what a client begins with.
    if socket.speaks_http2() {
        Box::pin(http2::serve(&connection, socket)).await;
    } else {
        connection::serve(&connection, socket).await;
    }
    tracing::debug!(
        client = %connection.client,
        requests = connection.requests.load(Ordering::Relaxed),
        seconds = connection.lifetime.age().as_secs(),
        "a client's connection is closed"
    );
}

/// Whose the connection is; none where nobody can tell, or where they have all that they may have. Before
/// anything else is read, a handshake of TLS too, and within the time that there is for the first head.
async fn identify(
    gateway: &Gateway,
    listen: &Listen,
    socket: &mut TcpStream,
    peer: SocketAddr,
    open: &mut OpenConnection,
) -> Option<IpAddr> {
    let peer = peer.ip().to_canonical();
    if !listen.has_proxy_protocol {
        return Some(peer);
    }
    let reading = read_proxy_header(socket, listen.header_timeout);
    let told = select! {
        biased;
        told = reading => told,
        () = open.closed() => return None,
    };
    let metrics = &gateway.metrics.clients;
    match &told {
        Ok(_) => {}
        Err(ProxyHeaderError::Malformed) => metrics.without_proxy_header.inc(),
        Err(ProxyHeaderError::Late) => metrics.late_proxy_header.inc(),
        // So balancers see whether somebody is there.
        Err(ProxyHeaderError::Left(_)) => return None,
    }
    let client = told
        .inspect_err(|error| tracing::debug!(%error, %peer, "a connection is closed"))
        .ok()?
        .unwrap_or(peer);
    open.identify(client).ok()?;
    Some(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How large what such a function gives back is, without calling it.
    fn size_of_future<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_that_waits_holds_no_room_for_what_it_may_ask_for() {
        let bytes = size_of_future(serve);
        assert!(
            bytes < 2048,
            "{bytes} bytes for each connection, whatever it does"
        );
    }
}
