//! Where the gateway listens: at what systemd has bound, what the process before this one has, or what it binds
//! itself.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::super::output::CommandError;
use super::handover::directory::HandoverDirectory;
use super::handover::predecessor::Predecessor;
use super::handover::successor::Estate;
use crate::config::{Secret, ServerTls, Settings};
use crate::gateway::Gateway;
use crate::server::{InheritedListeners, Protocols, TlsListener, bind};
use crate::store::{Store, StoreError, newest_schema};
use crate::telemetry::Metrics;

/// Both addresses of a gateway.
pub(super) struct Listeners {
    /// Where tenants connect.
    pub(super) listen: TcpListener,
    /// Health, metrics and the admin API.
    pub(super) admin: TcpListener,
    /// Where the next process finds this one.
    pub(super) directory: Option<HandoverDirectory>,
    /// The process that served there, and still does.
    pub(super) predecessor: Option<Predecessor>,
}

impl Listeners {
    /// Nothing is taken from a process that runs before it is clear that this one can read the store.
    pub(super) async fn open(
        settings: &Settings,
        inherited: InheritedListeners,
    ) -> Result<Self, CommandError> {
        let addresses = [
            ("listen", settings.listen.address),
            ("admin", settings.admin.address),
        ];
        let [listen, admin] = inherited.assign(addresses)?;
        let mut missing = addresses.to_vec();
        missing.retain(|(name, _)| match *name {
            "listen" => listen.is_none(),
            _ => admin.is_none(),
        });
        let directory = settings.server.handover_directory.as_deref();
        let directory = directory.map(HandoverDirectory::open).transpose()?;
        let mut predecessor = match &directory {
            None => None,
            Some(directory) => {
                let url = settings.store.url.reveal();
                refuse_newer(url).await?;
                Predecessor::ask(directory, &missing, newest_schema(url)?).await?
            }
        };
        let mut take = |known: Option<TcpListener>, name: &str, address: SocketAddr| {
            let taken = known.or_else(|| predecessor.as_mut()?.take(name));
            taken.map_or_else(|| bind(address), Ok)
        };
        Ok(Self {
            listen: take(listen, "listen", settings.listen.address)?,
            admin: take(admin, "admin", settings.admin.address)?,
            directory,
            predecessor,
        })
    }

    /// What the next process may have of it.
    pub(super) fn estate(&self, store_url: &Secret, gateway: Arc<Gateway>) -> Result<Estate, CommandError> {
        Ok(Estate {
            listeners: vec![
                ("listen", self.listen.try_clone()?),
                ("admin", self.admin.try_clone()?),
            ],
            gateway,
            store: newest_schema(store_url.reveal())?,
        })
    }
}

/// A store that cannot be reached now may be later, and is waited for.
async fn refuse_newer(url: &str) -> Result<(), CommandError> {
    match Store::open_to_look(url).await {
        Ok(Some((store, _))) => store.close().await,
        Err(error @ StoreError::TooNew { .. }) => return Err(error.into()),
        Ok(None) | Err(_) => {}
    }
    Ok(())
}

/// TLS of an address, if the settings want it; its files are followed from now on.
pub(super) fn open_tls(
    settings: Option<&ServerTls>,
    protocols: Protocols,
    address: &'static str,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<TlsListener>>, CommandError> {
    let Some(settings) = settings else {
        return Ok(None);
    };
    let tls = Arc::new(TlsListener::new(settings.clone(), protocols)?);
    let (following, metrics) = (Arc::clone(&tls), Arc::clone(metrics));
    tokio::spawn(async move { metrics.certificates.follow(address, following).await });
    Ok(Some(tls))
}

pub(super) fn url_at(address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}
