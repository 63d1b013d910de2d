use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::CertificateDer;
use tokio::select;

use super::acceptor::{Accepted, Acceptor};
use super::connections::Connections;
use super::tls::{TlsListener, establish};

/// How long a connection on which nothing is asked is still kept at the end, for what is just being sent.
const PATIENCE: Duration = Duration::from_millis(250);
/// The largest head.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// The certificate that a client has shown, and that was accepted.
#[derive(Clone, Debug)]
pub struct ShownCertificate(pub Arc<CertificateDer<'static>>);

/// Serves a router on `listener`, in TLS if there is any, until `shutdown` is done, then finishes what is in flight. A connection that
/// has no whole head `header_timeout` after it began to wait for one is closed. A handler finds the client's
/// address as [`ConnectInfo`], and its certificate, where it has shown one, as [`ShownCertificate`].
///
/// # Errors
/// Where the listener cannot be watched.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsListener>>,
    router: Router,
    connections: Arc<Connections>,
    header_timeout: Duration,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut acceptor = Acceptor::new(listener, Arc::clone(&connections))?;
    let accepting = async {
        loop {
            let accepted = acceptor.accept().await;
            tokio::spawn(serve_one(accepted, tls.clone(), router.clone(), header_timeout));
        }
    };
    select! {
        () = accepting => {}
        () = shutdown => {}
    }
    connections.close_all(PATIENCE);
    connections.all_closed().await;
    Ok(())
}

async fn serve_one(
    accepted: Accepted,
    tls: Option<Arc<TlsListener>>,
    router: Router,
    header_timeout: Duration,
) {
    let Accepted { socket, peer, open } = accepted;
    let Some(socket) = establish(tls.as_deref(), socket, &open, header_timeout).await else {
        return;
    };
    let certificate = socket.client_certificate().cloned();
    let certificate = certificate.map(|certificate| ShownCertificate(Arc::new(certificate)));
    let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
        open.begin_service();
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        let answering = TowerToHyperService::new(router.clone()).call(request);
        async {
            let answer = answering.await;
            open.begin_idling();
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let outcome = select! {
        biased;
        outcome = connection.as_mut() => outcome,
        // It would wait for the rest of a head that has begun.
        () = open.closed() => if open.is_served() {
            connection.as_mut().graceful_shutdown();
            connection.await
        } else {
            Ok(())
        },
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, %peer, "a connection broke");
    }
}
