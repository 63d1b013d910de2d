//! An environments service of our own: the upstream of the first command and of every test.
//!
//! It speaks the native dialect over HTTP: `X-Api-Key`, `anthropic-version`, the beta of this API,
//! Anthropic's error envelope. What it promises is what the contract says of the upstream, no more and no
//! less strict.

mod body;
mod example;
mod headers;
mod refusal;
mod service;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

pub use example::{EXAMPLE_ID, seed_example};

use crate::config::Secret;
use crate::server::{self, ConnectionLimits, Connections};
use crate::store::Store;
use service::Service;

/// The gateway alone has connections, and keeps them; whoever else has one will not bring much.
const HEADER_TIMEOUT: Duration = Duration::from_secs(300);

/// Serves environments on `listener` until `shutdown` ends, then finishes what is in flight.
///
/// `credential` is the one `X-Api-Key` that is let in.
///
/// # Errors
/// Those of the listener.
pub async fn serve(
    listener: TcpListener,
    store: Store,
    credential: Secret,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let connections = Connections::new(ConnectionLimits::none(), None);
    server::serve(
        listener,
        None,
        router(store, credential),
        connections,
        HEADER_TIMEOUT,
        shutdown,
    )
    .await
}

/// The service without its socket.
///
/// Paths are matched by the contract and not by axum's router, so that gateway and service cannot disagree.
pub fn router(store: Store, credential: Secret) -> Router {
    Router::new()
        .fallback(service::handle)
        .with_state(Arc::new(Service { store, credential }))
}
