use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::key::ReadKey;
use crate::contract::ApiError;
use crate::gateway::response::ReadReply;
use crate::tenancy::TenantId;
use crate::upstream::ReceivedBytes;

/// The reads that are on their way, each of which others may wait for.
#[derive(Default)]
pub(super) struct InFlightReads(Mutex<HashMap<Arc<ReadKey>, Arc<InFlightRead>>>);

/// A read that is on its way, for all who want the same.
pub(super) struct InFlightRead {
    generation: u64,
    asking: Mutex<Asking>,
    outcome: watch::Sender<Option<Outcome>>,
}

/// Who asks the upstream at present, and who did in vain.
#[derive(Default)]
struct Asking {
    askers: Vec<Progress>,
    last_began: Option<Instant>,
    failed: Vec<(TenantId, ApiError)>,
}

/// What a read has come to.
#[derive(Clone)]
pub(super) enum Outcome {
    /// The upstream said something.
    Replied {
        reply: ReadReply,
        /// Whose request it refused, if it did. It may be for a header that only that one has sent, so it
        /// tells other tenants nothing.
        refused: Option<TenantId>,
    },
    /// All who asked failed.
    Failed(Vec<(TenantId, ApiError)>),
    /// All who asked left.
    Abandoned,
}

/// What comes for somebody who asks: nothing before there is a connection.
#[derive(Clone, Debug, Default)]
pub(in crate::gateway) struct Progress(Arc<Mutex<Option<ReceivedBytes>>>);

/// Somebody who asks the upstream for all. Dropped without an outcome, it leaves the read to the others.
pub(super) struct Asker<'a> {
    reads: &'a InFlightReads,
    key: Arc<ReadKey>,
    tenant: &'a TenantId,
    progress: Progress,
    pub(super) read: Arc<InFlightRead>,
}

/// What somebody does who finds a read on its way, or none.
pub(super) enum Part<'a> {
    Join(Arc<InFlightRead>),
    Lead(Asker<'a>),
    /// It may not wait.
    Alone,
}

/// After so long without a byte one more of those who wait asks.
const SILENCE: Duration = Duration::from_secs(2);
/// How many ask at once at most.
const MOST_ASKERS: usize = 3;

impl InFlightReads {
    pub(super) fn join_or_lead<'a>(
        &'a self,
        key: &Arc<ReadKey>,
        generation: u64,
        tenant: &'a TenantId,
        progress: &Progress,
        may_wait: bool,
    ) -> Part<'a> {
        let mut reads = self.0.lock();
        match reads.get(key).filter(|read| read.generation == generation) {
            Some(read) if may_wait => Part::Join(Arc::clone(read)),
            Some(_) => Part::Alone,
            None => {
                let read = Arc::new(InFlightRead {
                    generation,
                    asking: Mutex::default(),
                    outcome: watch::Sender::default(),
                });
                read.asking.lock().begin(progress);
                reads.insert(Arc::clone(key), Arc::clone(&read));
                Part::Lead(self.asker(key, read, tenant, progress))
            }
        }
    }

    /// Lets one more of those who wait ask, where the upstream has been silent for long enough and few do.
    pub(super) fn ask_too<'a>(
        &'a self,
        key: &Arc<ReadKey>,
        read: &Arc<InFlightRead>,
        tenant: &'a TenantId,
        progress: &Progress,
    ) -> Option<Asker<'a>> {
        let mut asking = read.asking.lock();
        let is_silent = asking.silent_since().elapsed() >= SILENCE;
        // Nobody asks any more where the outcome is there.
        if !is_silent || !(1..MOST_ASKERS).contains(&asking.askers.len()) {
            return None;
        }
        asking.begin(progress);
        Some(self.asker(key, Arc::clone(read), tenant, progress))
    }

    fn asker<'a>(
        &'a self,
        key: &Arc<ReadKey>,
        read: Arc<InFlightRead>,
        tenant: &'a TenantId,
        progress: &Progress,
    ) -> Asker<'a> {
        Asker {
            reads: self,
            key: Arc::clone(key),
            tenant,
            progress: progress.clone(),
            read,
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl InFlightRead {
    /// Waits for the outcome.
    pub(super) async fn outcome(&self) -> Outcome {
        let mut outcome = self.outcome.subscribe();
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The sender is here.
            _ => Outcome::Abandoned,
        }
    }

    /// Waits until the upstream may have been silent for long enough.
    pub(super) async fn silence(&self) {
        let silent_since = self.asking.lock().silent_since();
        let until = (silent_since + SILENCE).max(Instant::now() + SILENCE / 8);
        tokio::time::sleep_until(until).await;
    }
}

impl Asking {
    fn begin(&mut self, progress: &Progress) {
        self.askers.push(progress.clone());
        self.last_began = Some(Instant::now());
    }

    fn silent_since(&self) -> Instant {
        let last_bytes = self.askers.iter().filter_map(Progress::last_byte_at);
        let latest = last_bytes.chain(self.last_began).max();
        latest.unwrap_or_else(Instant::now)
    }
}

impl Outcome {
    /// What it is for somebody of this tenant; none where it says nothing to them.
    pub(super) fn of(self, tenant: &TenantId) -> Option<Result<ReadReply, ApiError>> {
        match self {
            Self::Replied { reply, refused } => refused
                .is_none_or(|refused| refused == *tenant)
                .then_some(Ok(reply)),
            Self::Failed(failed) => failed
                .into_iter()
                .find(|(failed, _)| failed == tenant)
                .map(|(_, error)| Err(error)),
            Self::Abandoned => None,
        }
    }
}

impl Progress {
    /// What comes from now on comes there.
    pub(in crate::gateway) fn follow(&self, received: &ReceivedBytes) {
        *self.0.lock() = Some(received.clone());
    }

    fn last_byte_at(&self) -> Option<Instant> {
        self.0.lock().as_ref()?.last_at()
    }
}

impl Asker<'_> {
    /// Hands the reply to all whom it serves.
    pub(super) fn reply(self, reply: &ReadReply) {
        let refused = (!reply.reply.status.is_success()).then(|| self.tenant.clone());
        let reply = reply.clone();
        self.end(Outcome::Replied { reply, refused });
    }

    /// Says that it failed. Where nobody else asks, that is what all of its tenant get, and one of the others
    /// leads the next read.
    pub(super) fn fail(self, error: &ApiError) {
        let failed = {
            let mut asking = self.read.asking.lock();
            asking.failed.push((self.tenant.clone(), error.clone()));
            (asking.askers.len() == 1).then(|| std::mem::take(&mut asking.failed))
        };
        if let Some(failed) = failed {
            self.end(Outcome::Failed(failed));
        }
    }

    fn end(&self, outcome: Outcome) {
        // First, so that nobody whom the outcome does not serve finds this read again.
        let mut reads = self.reads.0.lock();
        if reads
            .get(&self.key)
            .is_some_and(|read| Arc::ptr_eq(read, &self.read))
        {
            reads.remove(&self.key);
        }
        drop(reads);
        // The first that ends it has said how.
        self.read.outcome.send_if_modified(|known| {
            let is_first = known.is_none();
            if is_first {
                *known = Some(outcome);
            }
            is_first
        });
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let is_last = {
            let mut asking = self.read.asking.lock();
            asking
                .askers
                .retain(|other| !Arc::ptr_eq(&other.0, &self.progress.0));
            asking.askers.is_empty()
        };
        if is_last {
            self.end(Outcome::Abandoned);
        }
    }
}
