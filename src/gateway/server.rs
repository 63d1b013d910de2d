use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use pingora::proxy::http_proxy_service;
use pingora::server::Fds;
use pingora::server::configuration::ServerConf;
use pingora::services::Service;
use pingora_runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;

use super::proxy::Proxy;
use super::state::Gateway;

/// A gateway that listens.
pub struct Running {
    gateway: Arc<Gateway>,
    runtime: Runtime,
    stop_listening: watch::Sender<bool>,
}

/// Binds the downstream address, so that a fault is known before anything starts.
///
/// # Errors
/// Where the address is taken or not this machine's; the error names it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Starts `threads` workers that answer what comes in at `listener`. No worker steals from another: a connection
/// stays where it was accepted, and so do the upstream connections that it uses.
///
/// # Errors
/// Where the socket has no address.
pub fn start(gateway: Arc<Gateway>, listener: TcpListener, threads: usize) -> io::Result<Running> {
    let address = listener.local_addr()?.to_string();
    listener.set_nonblocking(true)?;
    let mut bound = Fds::new();
    bound.add(address.clone(), listener.into_raw_fd());

    let conf = Arc::new(ServerConf {
        threads,
        ..ServerConf::default()
    });
    let mut service = http_proxy_service(&conf, Proxy(Arc::clone(&gateway)));
    service.add_tcp(&address);

    // Pingora's `Server` would take over signals and sleep through a fixed grace period; its service alone
    // listens just as well, and stops when told.
    let runtime = Runtime::new_no_steal(threads, "gateway");
    let (stop_listening, shutdown) = watch::channel(false);
    let listeners_per_fd = 1;
    runtime.get_handle().spawn(async move {
        service
            .start_service(Some(Arc::new(Mutex::new(bound))), shutdown, listeners_per_fd)
            .await;
    });
    Ok(Running {
        gateway,
        runtime,
        stop_listening,
    })
}

impl Running {
    /// Stops accepting, closes idle connections, and lets what is in flight finish until `deadline` is done.
    /// Gives back how many requests were cut off.
    pub async fn stop(self, deadline: impl Future<Output = ()>) -> i64 {
        self.gateway.is_stopping.store(true, Ordering::Relaxed);
        // No receiver is left where the listener has failed already; then there is nothing to stop.
        let _ = self.stop_listening.send(true);
        let in_flight = &self.gateway.metrics.in_flight;
        let drained = async {
            while in_flight.get() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = deadline => {}
        }
        let cut_off = in_flight.get();
        let runtime = self.runtime;
        // The runtime's own shutdown blocks the thread that asks for it.
        let _ =
            tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_millis(100))).await;
        cut_off
    }
}
