//! Whether the upstream's replies still are what the contract says, watched beside the requests.
//!
//! Each reply is looked at once, by whoever has received it: a walk over what was read of it tells whether its shape was
//! seen before, and then it is counted, without a lock, memory or a system call. One of a new shape is left in a bounded queue;
//! [`DriftWatch::run`] looks into that ten times a second and measures what waits against the schemas, on a thread that
//! may block and for a fifth of the time at most. What does not fit is counted as unmeasured.
//!
//! The arithmetic of shapes and the measuring are the contract's; here is what lasts: which shapes are known, and what was
//! found. Both are bounded, whatever the upstream sends. The store fetches what was found, for all replicas.

mod findings;
mod known_shapes;
mod queue;
mod tell;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use self::findings::Findings;
use self::known_shapes::KnownShapes;
use self::queue::{ReplyQueue, WaitingReply};
use self::tell::Teller;
use super::drift_metrics::DriftMetrics;
use crate::contract::{
    Finding, Layout, Node, Operation, ReplyDocument, ReplySchemas, Sighting, UpstreamReply,
};

pub use self::findings::PendingFinding;

/// How often it is looked for replies of new shapes.
const PERIOD: Duration = Duration::from_millis(100);
/// How long it is rested after measuring, in times of what that took.
const REST: u32 = 4;
/// How often what was counted is taken over.
const COUNT_PERIOD: Duration = Duration::from_secs(1);
/// The largest body that is looked at where it was received; what is larger is looked at beside the requests.
const MAX_BYTES_AT_ONCE: usize = 16 << 10;
/// How many parts a reply of a known shape has at most.
const MAX_PARTS: usize = 32;
/// How many new parts of one reply are taken in.
const MAX_NEW_PARTS: usize = 1024;
/// How many parts are remembered that had more in them than there was room for.
const OVERFULL: usize = 256;
/// How many of one crowd a part is known for: a reply that floods leaves room for others.
const MAX_OF_CROWD_AND_PART: usize = 32;
/// After how many looks parts that have more in them than there was room for are looked at anew.
const LOOK_ANEW: u64 = 256;
/// How many findings one part of a reply is known for.
const MAX_OF_PART: usize = 256;

/// Watches the upstream's replies.
pub struct DriftWatch {
    schemas: ArcSwap<ReplySchemas>,
    known: KnownShapes,
    waiting: ReplyQueue,
    /// Of whoever measures, one at a time.
    measurer: Mutex<Measurer>,
    findings: Mutex<Findings>,
    teller: Mutex<Teller>,
    /// One at a time takes what the store does not have.
    writing: tokio::sync::Mutex<()>,
    metrics: DriftMetrics,
}

struct Measurer {
    /// How often was looked.
    looks: u64,
    /// How many replies were measured.
    replies: u64,
    /// Of the known parts those that differ from the schema, and in what.
    parts: HashMap<u64, PartFindings>,
    /// Parts that had more in them than there was room for. What they have is looked at once more before they are known, so
    /// that what comes again finds room.
    overfull: [u64; OVERFULL],
}

/// In what a part of a reply differs from the schema.
struct PartFindings {
    operation: Operation,
    document: ReplyDocument,
    /// How often it is in the reply at hand.
    times: u64,
    keys: Vec<u64>,
    /// While it is measured, how many of each crowd.
    crowds: HashMap<u64, usize>,
    /// What found no room.
    beyond: u64,
}

impl DriftWatch {
    /// Measures by `schemas`, until there are others.
    #[must_use]
    pub fn new(schemas: Arc<ReplySchemas>, metrics: DriftMetrics) -> Self {
        Self {
            schemas: ArcSwap::new(schemas),
            known: KnownShapes::new(),
            waiting: ReplyQueue::default(),
            measurer: Mutex::new(Measurer {
                looks: 0,
                replies: 0,
                parts: HashMap::new(),
                overfull: [0; OVERFULL],
            }),
            findings: Mutex::new(Findings::new()),
            teller: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            metrics,
        }
    }

    /// Measures by other schemas from now on. No shape is known any more then.
    pub fn set_schemas(&self, schemas: &Arc<ReplySchemas>) {
        if !Arc::ptr_eq(schemas, &self.schemas.load()) {
            self.schemas.store(Arc::clone(schemas));
        }
    }

    /// Looks at a reply with this body, if it has one: counts it where its shape is known, else leaves it to be measured.
    pub fn observe(&self, reply: &UpstreamReply, body: Option<Node<'_>>) {
        if reply.body.len() > MAX_BYTES_AT_ONCE {
            self.leave(None, reply);
            return;
        }
        let mut slots = [0; MAX_PARTS];
        let mut parts = 0;
        let mut new_shape: u64 = 0;
        self.schemas.load().fingerprints(reply, body, |part| {
            match (self.known.find(part), slots.get_mut(parts)) {
                (Some(known), Some(slot)) => {
                    *slot = known;
                    parts += 1;
                }
                _ => new_shape = new_shape.rotate_left(1).wrapping_add(part) | 1,
            }
        });
        if new_shape != 0 {
            self.leave(Some(new_shape), reply);
            return;
        }
        for slot in slots.iter().take(parts) {
            self.known.count(*slot, 1);
        }
        self.metrics.known_shape.inc();
    }

    /// Takes in that the upstream has refused a write although it keeps its schema, for the place that `pointer` leads to.
    pub fn record_refusal(&self, operation: Operation, pointer: String) {
        let finding = Finding::refused_upstream(operation, pointer);
        self.findings.lock().count_refusal(finding, Timestamp::now());
    }

    fn leave(&self, shape: Option<u64>, reply: &UpstreamReply) {
        if !self.waiting.offer(shape, reply) {
            self.metrics.unmeasured.inc();
        }
    }

    /// Measures what waits, again and again, without end.
    pub async fn run(self: Arc<Self>) {
        let mut pause = PERIOD;
        let mut counted = Instant::now();
        loop {
            sleep(pause).await;
            pause = PERIOD;
            let is_waiting = !self.waiting.is_empty();
            if !is_waiting && counted.elapsed() < COUNT_PERIOD {
                continue;
            }
            counted = Instant::now();
            if !is_waiting {
                self.measure_waiting();
                continue;
            }
            let watch = Arc::clone(&self);
            let measuring = tokio::task::spawn_blocking(move || watch.measure_waiting());
            if let Err(error) = measuring.await {
                tracing::error!(%error, "a reply of the upstream could not be measured");
            }
            pause = pause.max(counted.elapsed() * REST);
        }
    }

    /// Measures what waits by now, and takes over what was counted. It may take a while.
    pub fn measure_waiting(&self) {
        let now = Timestamp::now();
        let mut measurer = self.measurer.lock();
        measurer.looks += 1;
        let (looks, parts) = (measurer.looks, &measurer.parts);
        self.known.take_counts(looks, |part, times| {
            if let Some(part) = parts.get(&part) {
                self.count_part(part, times, now, true);
            }
        });
        if looks.is_multiple_of(LOOK_ANEW) {
            measurer.parts.retain(|shape, part| {
                let is_whole = part.beyond == 0;
                if !is_whole {
                    self.known.remove(*shape);
                }
                is_whole
            });
        }
        for waiting in self.waiting.take() {
            self.measure(&mut measurer, &waiting, now);
        }
    }

    fn measure(&self, measurer: &mut Measurer, waiting: &WaitingReply, now: Timestamp) {
        let WaitingReply { reply, count, .. } = waiting;
        let schemas = self.schemas.load_full();
        let mut new: HashMap<u64, PartFindings> = HashMap::new();
        let text = reply.text().unwrap_or_default();
        let layout = Layout::of(text);
        let body = layout.as_ref().and_then(|layout| layout.root(text));
        schemas.fingerprints(reply, body, |part| match self.known.find(part) {
            Some(slot) => self.known.count(slot, *count),
            None if new.len() < MAX_NEW_PARTS || new.contains_key(&part) => {
                new.entry(part).or_insert_with(|| PartFindings::of(reply)).times += 1;
            }
            None => {}
        });
        if new.is_empty() {
            self.metrics.known_shape.inc_by(*count);
            return;
        }
        self.metrics.measured.inc_by(*count);
        measurer.replies += 1;
        let number = measurer.replies;
        schemas.measure(reply, |part, sighting| {
            let Some(part) = new.get_mut(&part) else { return };
            part.note(sighting, |sighting| {
                self.findings.lock().note(sighting, number, now)
            });
        });
        for (shape, mut part) in new {
            // It was told for each time that the part is there.
            part.beyond /= part.times.max(1);
            self.count_part(&part, part.times * count, now, false);
            if part.beyond > 0 && measurer.is_first_overfull(shape) {
                continue;
            }
            let differs = !part.keys.is_empty() || part.beyond > 0;
            if let Some(forgotten) = self.known.insert(shape, measurer.looks, differs)
                && let Some(part) = measurer.parts.remove(&forgotten.shape)
            {
                self.count_part(&part, forgotten.seen, now, true);
            }
            if differs {
                part.keys.shrink_to_fit();
                part.crowds = HashMap::new();
                measurer.parts.insert(shape, part);
            }
        }
    }

    /// Counts all that a part is known for.
    fn count_part(&self, part: &PartFindings, times: u64, now: Timestamp, is_again: bool) {
        if times == 0 {
            return;
        }
        let mut findings = self.findings.lock();
        let kept = part
            .keys
            .iter()
            .filter(|key| findings.count(**key, times, now, is_again));
        let forgotten = part.keys.len() - kept.count();
        let beyond = part.beyond + u64::try_from(forgotten).unwrap_or_default();
        findings.count_remainder(part.operation, part.document, beyond.saturating_mul(times), now);
    }

    /// Lets `write` write what the store does not have, one at a time. It gives back which of them are new to the store;
    /// what it has not written waits for the next time. Whoever reads the log is told of what is new, once. Gives back whether
    /// there was anything.
    ///
    /// # Errors
    /// As of `write`. What nobody was told of is told all the same then.
    pub async fn write_pending<E>(
        &self,
        write: impl AsyncFnOnce(&[PendingFinding]) -> Result<Vec<String>, E>,
    ) -> Result<bool, E> {
        let _one_at_a_time = self.writing.lock().await;
        let pending = self.findings.lock().pending();
        if pending.is_empty() {
            self.teller.lock().tell(Vec::new());
            return Ok(false);
        }
        let written = write(&pending).await;
        let untold = {
            let mut findings = self.findings.lock();
            match &written {
                Ok(new) => {
                    findings.settle(&pending);
                    let new = findings.take_untold(|id| new.iter().any(|new| new == id));
                    // All others are known to the store, and so were told by somebody.
                    let _ = findings.take_untold(|id| pending.iter().any(|pending| pending.id == id));
                    new
                }
                Err(_) => findings.take_untold(|_| true),
            }
        };
        self.teller.lock().tell(untold);
        written.map(|_| true)
    }

    /// Where it is told how many findings there are.
    #[must_use]
    pub const fn metrics(&self) -> &DriftMetrics {
        &self.metrics
    }
}

impl Measurer {
    /// Whether a part that had more in it than there was room for was none before.
    fn is_first_overfull(&mut self, part: u64) -> bool {
        let place = usize::try_from(part).unwrap_or_default() % OVERFULL;
        let before = self
            .overfull
            .get_mut(place)
            .map(|before| std::mem::replace(before, part));
        before != Some(part)
    }
}

impl PartFindings {
    fn of(reply: &UpstreamReply) -> Self {
        Self {
            operation: reply.operation,
            document: reply.document(),
            times: 0,
            keys: Vec::new(),
            crowds: HashMap::new(),
            beyond: 0,
        }
    }

    /// Takes in what was met in the part, as far as there is room; `note` gives a key to what is kept.
    fn note(&mut self, sighting: &Sighting<'_>, note: impl FnOnce(&Sighting<'_>) -> Option<u64>) {
        if self.keys.contains(&sighting.key()) {
            return;
        }
        let of_crowd = self.crowds.entry(sighting.crowd()).or_default();
        let has_room = *of_crowd < MAX_OF_CROWD_AND_PART && self.keys.len() < MAX_OF_PART;
        match has_room.then(|| note(sighting)).flatten() {
            Some(key) => {
                *of_crowd += 1;
                self.keys.push(key);
            }
            None => self.beyond += 1,
        }
    }
}

impl fmt::Debug for DriftWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriftWatch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
