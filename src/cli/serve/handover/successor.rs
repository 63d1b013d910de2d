//! The next process, as the running one sees it.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::channel::{Channel, WORD};
use super::directory::{BoundSocket, HandoverDirectory};
use super::error::HandoverError;
use super::{Offer, PROTOCOL, Reply, Request, own_version};
use crate::gateway::Gateway;
use crate::quota::BudgetHandover;

/// How long the next process may take to become ready: longer than it gives itself.
const READY_WITHIN: Duration = Duration::from_secs(75);
/// How long the next process may take from when it has the budgets: much longer than it needs, because where it is
/// given up and serves all the same both do.
const SERVING_WITHIN: Duration = Duration::from_secs(30);
/// How often the next process hears what is still kept of the budgets.
const PERIOD: Duration = Duration::from_millis(100);
/// How long to wait where nobody can be let in for want of something.
const LACK_PAUSE: Duration = Duration::from_secs(1);

/// What the running process has to hand over.
pub(in crate::cli) struct Estate {
    /// The listeners, by the names that the settings have.
    pub(in crate::cli) listeners: Vec<(&'static str, TcpListener)>,
    /// Whose budgets go over.
    pub(in crate::cli) gateway: Arc<Gateway>,
    /// The newest schema of the store that this process knows.
    pub(in crate::cli) store: i64,
}

/// The next process, which serves.
#[derive(Debug)]
pub(in crate::cli) struct Successor {
    channel: Channel,
    budgets: Vec<BudgetHandover>,
}

/// Where the next process comes.
#[derive(Debug)]
pub(in crate::cli) struct Meeting {
    listener: UnixListener,
    file: BoundSocket,
}

impl Meeting {
    /// From now on the next process finds this one; not where that cannot be, which is no reason to serve nobody.
    pub(in crate::cli) fn arrange(directory: &HandoverDirectory) -> Option<Self> {
        match directory.bind() {
            Ok((listener, file)) => Some(Self { listener, file }),
            Err(error) => {
                tracing::error!(%error, "no other process can take over from this one");
                None
            }
        }
    }
}

/// Waits for the process that takes over, and hands over to it: for ever where none can come. Dropped, nobody can take
/// over any more.
pub(in crate::cli) async fn await_successor(meeting: Option<Meeting>, estate: Estate) -> Successor {
    let Some(Meeting { listener, file }) = meeting else {
        return std::future::pending().await;
    };
    let successor = serve(&listener, Arc::new(estate)).await;
    file.leave();
    successor
}

async fn serve(listener: &UnixListener, estate: Arc<Estate>) -> Successor {
    let (done, mut successors) = mpsc::channel(1);
    let alone = Arc::new(Semaphore::new(1));
    // Dropped with this, and with them the listeners.
    let mut sessions = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(successor) = successors.recv() => return successor,
            accepted = listener.accept() => accepted,
        };
        while sessions.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a process that wants to take over is not let in for now");
                sleep(LACK_PAUSE).await;
                continue;
            }
        };
        let (estate, alone, done) = (Arc::clone(&estate), Arc::clone(&alone), done.clone());
        sessions.spawn(async move {
            match hand_over(stream, &estate, &alone).await {
                // It is waited for.
                Ok(successor) => drop(done.send(successor).await),
                Err(error) => tracing::warn!(%error, "a process did not take over; this one goes on"),
            }
        });
    }
}

async fn hand_over(
    stream: UnixStream,
    estate: &Estate,
    alone: &Semaphore,
) -> Result<Successor, HandoverError> {
    let mut channel = Channel::new(stream)?;
    let hello = match channel.receive(WORD).await? {
        Request::Hello(hello) => hello,
        other => return Err(HandoverError::Garbled(format!("{other:?}"))),
    };
    let permit = alone.try_acquire();
    let refusal = if hello.protocol != PROTOCOL {
        Some(format!(
            "it speaks protocol {PROTOCOL} of handovers, not {}",
            hello.protocol
        ))
    } else if permit.is_err() {
        Some("another process is just taking over".to_owned())
    } else {
        None
    };
    if let Some(reason) = refusal {
        channel.send(&Reply::Refused(reason.clone())).await?;
        return Err(HandoverError::Refused(reason));
    }
    let mut listeners = Vec::new();
    for (name, listener) in &estate.listeners {
        listeners.push(((*name).to_owned(), listener.local_addr()?));
    }
    let offer = Offer {
        protocol: PROTOCOL,
        version: own_version(),
        store: estate.store,
        listeners,
    };
    channel.send(&Reply::Offer(offer)).await?;
    let names = match channel.receive(WORD).await? {
        Request::Take(names) => names,
        other => return Err(HandoverError::Garbled(format!("{other:?}"))),
    };
    let mut taken = Vec::new();
    for name in &names {
        let listener = estate.listeners.iter().find(|(known, _)| known == name);
        let (_, listener) =
            listener.ok_or_else(|| HandoverError::Garbled(format!("there is no listener {name}")))?;
        taken.push(listener.as_fd());
    }
    channel.send_descriptors(&taken).await?;
    tracing::info!(
        pid = channel.pid,
        version = hello.version,
        "another process prepares to take over"
    );
    match channel.receive(READY_WITHIN).await? {
        Request::Ready => {}
        other => return Err(HandoverError::Garbled(format!("{other:?}"))),
    }
    // Where it is not heard of again, each is whole again when this is dropped.
    let budgets = estate.gateway.budgets();
    let begun = budgets
        .iter()
        .filter_map(|live| BudgetHandover::begin(live.budget()));
    let (budgets, spent) = begun.unzip();
    channel.send(&Reply::Budgets(spent)).await?;
    match channel.receive(SERVING_WITHIN).await? {
        Request::Serving => {}
        other => return Err(HandoverError::Garbled(format!("{other:?}"))),
    }
    // For good: nobody else may take over from this process.
    if let Ok(permit) = permit {
        permit.forget();
    }
    Ok(Successor { channel, budgets })
}

impl Successor {
    pub(in crate::cli) const fn pid(&self) -> Option<i32> {
        self.channel.pid
    }

    /// Tells it what is still kept of the budgets, until all is `finished` that was in flight, and once more then.
    /// What is not given up by the end of this process counts there as sent.
    /// The end of the process is seen as soon as this is dropped.
    pub(in crate::cli) async fn tell_kept(mut self, finished: impl Future<Output = ()>) -> Self {
        self.budgets.iter().for_each(BudgetHandover::confirm);
        let mut finished = pin!(finished);
        let mut is_last = false;
        while self.tell(is_last).await.is_ok() && !is_last {
            is_last = timeout(PERIOD, &mut finished).await.is_ok();
        }
        self
    }

    async fn tell(&mut self, is_finished: bool) -> Result<(), HandoverError> {
        let kept = self
            .budgets
            .iter()
            .map(|budget| budget.kept(is_finished))
            .collect();
        self.channel.send(&Reply::Kept(kept)).await
    }
}
