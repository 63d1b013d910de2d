//! The running process, as the new one sees it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::channel::{Channel, WORD};
use super::directory::HandoverDirectory;
use super::error::HandoverError;
use super::{Hello, PROTOCOL, Reply, Request, own_version};
use crate::admin::Vitals;
use crate::gateway::Gateway;
use crate::quota::SpentBudget;
use crate::server::{listens_at, take_over};

/// How long this process may take to open the store and read all keys.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long the running process may say nothing while it stops. It says something all the time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The running process, which goes on until it is told that this one serves.
#[derive(Debug)]
pub(in crate::cli) struct Predecessor {
    channel: Channel,
    /// What it has given, by the names that the settings have.
    listeners: Vec<(String, TcpListener)>,
}

impl Predecessor {
    /// Asks the running process for its listeners that are where the settings want them; none where no process runs.
    pub(in crate::cli) async fn ask(
        directory: &HandoverDirectory,
        wanted: &[(&'static str, SocketAddr)],
        store: i64,
    ) -> Result<Option<Self>, HandoverError> {
        let Some(stream) = connect(directory).await? else {
            return Ok(None);
        };
        match Self::begin(Channel::new(stream)?, wanted, store).await {
            // It has just ended, and so its addresses are free.
            Err(HandoverError::Gone) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    async fn begin(
        mut channel: Channel,
        wanted: &[(&'static str, SocketAddr)],
        store: i64,
    ) -> Result<Self, HandoverError> {
        let hello = Hello {
            protocol: PROTOCOL,
            version: own_version(),
            store,
        };
        channel.send(&Request::Hello(hello)).await?;
        let offer = match channel.receive(WORD).await? {
            Reply::Offer(offer) if offer.protocol == PROTOCOL => offer,
            Reply::Refused(reason) => return Err(HandoverError::Refused(reason)),
            other => return Err(HandoverError::Garbled(format!("{other:?}"))),
        };
        if offer.store != store {
            return Err(HandoverError::OtherStore {
                running: offer.store,
                own: store,
            });
        }
        let fits = |(name, found): &&(String, SocketAddr)| {
            wanted
                .iter()
                .any(|(wanted, address)| wanted == name && listens_at(*found, *address))
        };
        let names: Vec<String> = offer
            .listeners
            .iter()
            .filter(fits)
            .map(|(name, _)| name.clone())
            .collect();
        channel.send(&Request::Take(names.clone())).await?;
        let descriptors = channel.receive_descriptors().await?;
        if descriptors.len() != names.len() {
            let found = descriptors.len();
            return Err(HandoverError::Garbled(format!(
                "{found} listeners instead of {}",
                names.len()
            )));
        }
        let mut listeners = Vec::new();
        for (name, descriptor) in names.into_iter().zip(descriptors) {
            listeners.push((name, take_over(descriptor)?));
        }
        tracing::info!(
            pid = channel.pid,
            version = offer.version,
            listeners = listeners.len(),
            "the listeners of the running process are here; it goes on until this one is ready"
        );
        Ok(Self { channel, listeners })
    }

    /// The listener of a name, if it has given it.
    pub(in crate::cli) fn take(&mut self, name: &str) -> Option<TcpListener> {
        let index = self.listeners.iter().position(|(known, _)| known == name)?;
        Some(self.listeners.swap_remove(index).1)
    }

    /// Waits until this process could serve and says so, and takes the budgets over as they are. Where the running one
    /// has gone meanwhile, nobody knows what it has spent.
    pub(in crate::cli) async fn relieve(
        &mut self,
        vitals: &Vitals,
        gateway: &Gateway,
    ) -> Result<(), HandoverError> {
        if timeout(READY_WITHIN, vitals.ready()).await.is_err() {
            let (readiness, why) = vitals.readiness();
            return Err(HandoverError::NotReady {
                within: READY_WITHIN,
                why: if why.is_empty() {
                    readiness.word.to_owned()
                } else {
                    why
                },
            });
        }
        let spent = match self.ready().await {
            Ok(spent) => spent,
            Err(HandoverError::Gone) => {
                tracing::warn!("the running process has gone, and with it what it has spent of the budgets");
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        for live in gateway.budgets() {
            let budget = live.budget();
            if let Some(spent) = spent.iter().find(|spent| spent.budget == budget.name()) {
                budget.take_over(spent);
            }
        }
        Ok(())
    }

    async fn ready(&mut self) -> Result<Vec<SpentBudget>, HandoverError> {
        self.channel.send(&Request::Ready).await?;
        match self.channel.receive(WORD).await? {
            Reply::Budgets(spent) => Ok(spent),
            other => Err(HandoverError::Garbled(format!("{other:?}"))),
        }
    }

    /// Says that this process serves, so that the running one stops, and follows what that one still keeps of the
    /// budgets until it has ended.
    pub(in crate::cli) async fn see_off(mut self, gateway: Arc<Gateway>) {
        if let Err(error) = self.channel.send(&Request::Serving).await {
            tracing::warn!(%error, "the process before this one could not be told to stop");
        }
        let ended = loop {
            match self.channel.receive(SIGN_OF_LIFE).await {
                Ok(Reply::Kept(shares)) => {
                    for live in gateway.budgets() {
                        let budget = live.budget();
                        if let Some(share) = shares.iter().find(|share| share.budget == budget.name()) {
                            budget.leave_elsewhere(share);
                        }
                    }
                }
                Ok(other) => break Err(HandoverError::Garbled(format!("{other:?}"))),
                // It keeps what it has: as long as it is there it may use it.
                Err(HandoverError::Silent { .. }) => {}
                Err(HandoverError::Gone) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        match ended {
            Ok(()) => tracing::info!("the process before this one has ended"),
            Err(error) => tracing::warn!(%error, "the process before this one is not followed any more"),
        }
        for live in gateway.budgets() {
            live.budget().end_elsewhere();
        }
    }
}

/// None where nobody is there, though the file of its socket may be.
async fn connect(directory: &HandoverDirectory) -> Result<Option<UnixStream>, HandoverError> {
    let silent = HandoverError::Silent {
        within: WORD,
        pid: None,
    };
    match timeout(WORD, UnixStream::connect(directory.socket())).await {
        Ok(Ok(stream)) => Ok(Some(stream)),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            // So many wait for it that no more may.
            io::ErrorKind::WouldBlock => Err(silent),
            _ => Err(error.into()),
        },
        Err(_elapsed) => Err(silent),
    }
}
