//! Reads that several ask for at once, or one shortly after the other, cost the upstream's budget once.

mod freshness;
mod generations;
mod in_flight;
mod key;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use moka::sync::Cache;
use tokio::select;
use tokio::time::Instant;

use self::generations::Generations;
use self::in_flight::{Asker, InFlightRead, InFlightReads, Outcome, Part};
use super::response::{Outline, ReadReply};
use crate::config;
use crate::contract::ApiError;
use crate::environment::EnvironmentId;
use crate::tenancy::TenantId;
use crate::upstream::Reply;

pub(super) use self::freshness::{Freshness, ReadSource};
pub(super) use self::generations::Writing;
pub(super) use self::in_flight::Progress;
pub(super) use self::key::{ReadKey, Subject};

/// Replies to reads that are under way or were just there, as the upstream gave them: before the dialect, and
/// before any list is filtered.
///
/// A write raises the generation of what it touches when it starts and when its outcome is known. A read goes
/// only by what was asked for in the present generation, so that after the answer to a write nobody sees what
/// was before it. What another gateway writes is not known here; that shows after [`config::Cache::ttl`].
pub(super) struct SharedReads {
    in_flight: InFlightReads,
    /// None where nothing is to be kept.
    kept: ArcSwapOption<KeptReads>,
    /// Whether nobody else writes past this gateway, as far as is known.
    is_alone: AtomicBool,
    generations: Generations,
}

/// Who reads, as far as others who read the same come into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) freshness: Freshness,
    /// Whether it may wait for another's request. Who has a place in flight may not: the other may be waiting
    /// for just that place.
    pub(super) may_wait: bool,
    /// What comes for it where it asks itself.
    pub(super) progress: &'a Progress,
}

/// Why asking was in vain.
#[derive(Debug)]
pub(super) struct AskError {
    pub(super) error: ApiError,
    /// Whether it may still wait for others who ask.
    pub(super) may_wait: bool,
}

/// A reply, and where it came from.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reply: ReadReply,
    pub(super) source: ReadSource,
}

/// A success that is kept: nothing of its header goes down with it. The bytes are its own, for those of a
/// reply are a part of whatever was read from the connection at once, and would keep all of that.
#[derive(Clone)]
struct Kept {
    generation: u64,
    since: Instant,
    status: StatusCode,
    body: Bytes,
    outline: Outline,
}

impl Kept {
    /// How many bytes it holds.
    fn bytes(&self) -> usize {
        self.body.len() + self.outline.bytes()
    }
}

type KeptReads = Cache<Arc<ReadKey>, Kept>;

/// What somebody who wants to read has to do.
enum Lookup<'a> {
    Hit(Shared),
    Join(Arc<InFlightRead>),
    /// Alone, where there is nobody to lead.
    Lead(Option<Asker<'a>>),
}

/// What the cache itself takes for an entry, about.
const ENTRY_BYTES: usize = 512;
/// A reply that is larger, and was asked for by somebody who wanted none that is kept, is not kept for others either: a
/// few of them, asked for again and again, would push out all that somebody wants.
const LARGE_BYTES: usize = 64 * 1024;
/// How many reads of others somebody waits for in vain.
const MOST_WAITS: usize = 2;

impl SharedReads {
    pub(super) fn new(settings: &config::Cache) -> Self {
        Self {
            in_flight: InFlightReads::default(),
            kept: ArcSwapOption::new(kept_reads(settings)),
            is_alone: AtomicBool::new(true),
            generations: Generations::new(),
        }
    }

    /// Keeps replies by other settings from now on; those that are kept are forgotten.
    pub(super) fn keep_by(&self, settings: &config::Cache) {
        self.kept.store(kept_reads(settings));
    }

    /// The reply to a read: one that is kept, or that somebody else is about to get, or what `ask` gets.
    ///
    /// After two seconds without a byte one more of those who wait asks too, three at once at most, and the
    /// first reply is everybody's: it would be a pity if all had to wait for a connection that is dead. A
    /// success goes to all who wait for it, a refusal or a failure to those of the tenants who asked; of the
    /// others one leads the next read. Who has waited for two in vain asks for itself.
    ///
    /// # Errors
    /// Those of `ask`, its own or of somebody else of the same tenant.
    pub(super) async fn read(
        &self,
        key: ReadKey,
        reader: Reader<'_>,
        ask: impl Future<Output = Result<ReadReply, AskError>>,
    ) -> Result<Shared, ApiError> {
        let key = Arc::new(key);
        let mut attempt = Attempt {
            reads: self,
            key: &key,
            generation: 0,
            reader,
            ask: pin!(ask),
            failed: None,
        };
        let mut waited_in_vain = 0;
        loop {
            let may_wait = reader.may_wait && waited_in_vain < MOST_WAITS;
            attempt.generation = self.generations.of(&key);
            match self.look_up(&attempt, may_wait) {
                Lookup::Hit(shared) => return Ok(shared),
                Lookup::Lead(asker) => {
                    // Whoever has asked in vain does not ask again.
                    if let Some(error) = attempt.failed {
                        return Err(error);
                    }
                    if let Some(ended) = attempt.ask(asker).await {
                        return ended;
                    }
                }
                Lookup::Join(read) => match attempt.wait(&read).await {
                    Waited::Served(ended) => return ended,
                    Waited::InVain => waited_in_vain += 1,
                    Waited::Abandoned => {}
                },
            }
        }
    }

    /// Lets nobody go by what was read of an environment so far: somebody else has written it.
    pub(super) fn outdate(&self, environment: &EnvironmentId) {
        self.generations.outdate(environment);
    }

    /// Says that a write of an environment begins, or of one that is yet to be made. It ends when what is
    /// given back is dropped, which must be before the client is answered.
    pub(super) fn write(&self, access: &Arc<str>, environment: Option<&EnvironmentId>) -> Writing<'_> {
        self.generations.write(access, environment)
    }

    fn look_up<'a, F>(&'a self, attempt: &Attempt<'a, '_, F>, may_wait: bool) -> Lookup<'a> {
        let Attempt {
            key,
            generation,
            reader,
            ..
        } = attempt;
        if !reader.freshness.may_share {
            return Lookup::Lead(None);
        }
        if let Some(shared) = self.kept(key, *generation, reader.freshness.max_age) {
            return Lookup::Hit(shared);
        }
        let part = self
            .in_flight
            .join_or_lead(key, *generation, reader.tenant, reader.progress, may_wait);
        match part {
            Part::Join(read) => Lookup::Join(read),
            Part::Lead(asker) => Lookup::Lead(Some(asker)),
            Part::Alone => Lookup::Lead(None),
        }
    }

    /// What is kept while another gateway writes may be outdated without anybody here knowing, so nothing is.
    pub(super) fn set_alone(&self, is_alone: bool) {
        self.is_alone.store(is_alone, Ordering::Relaxed);
        if let Some(kept) = &*self.kept.load() {
            kept.invalidate_all();
        }
    }

    fn cache(&self) -> Option<Arc<KeptReads>> {
        if !self.is_alone.load(Ordering::Relaxed) {
            return None;
        }
        self.kept.load_full()
    }

    fn kept(&self, key: &Arc<ReadKey>, generation: u64, max_age: Option<Duration>) -> Option<Shared> {
        let kept = self.cache()?.get(key)?;
        let age = kept.since.elapsed();
        let is_fresh = kept.generation == generation && max_age.is_none_or(|limit| age <= limit);
        let reply = ReadReply {
            reply: Reply {
                status: kept.status,
                headers: HeaderMap::new(),
                body: kept.body,
            },
            outline: Some(kept.outline),
        };
        is_fresh.then_some(Shared {
            reply,
            source: ReadSource::Hit(age),
        })
    }
}

fn kept_reads(settings: &config::Cache) -> Option<Arc<KeptReads>> {
    if settings.ttl.is_zero() {
        return None;
    }
    let cache = Cache::builder()
        .max_capacity(settings.max_bytes)
        .weigher(|key: &Arc<ReadKey>, kept: &Kept| {
            u32::try_from(ENTRY_BYTES + key.bytes() + kept.bytes()).unwrap_or(u32::MAX)
        })
        .time_to_live(settings.ttl)
        .build();
    Some(Arc::new(cache))
}

/// One reader's way to its reply.
struct Attempt<'a, 'f, F> {
    reads: &'a SharedReads,
    key: &'a Arc<ReadKey>,
    generation: u64,
    reader: Reader<'a>,
    ask: Pin<&'f mut F>,
    /// Why asking did not help.
    failed: Option<ApiError>,
}

/// What waiting for somebody else's read has come to.
enum Waited {
    Served(Result<Shared, ApiError>),
    /// The read is over, and is nothing to this reader.
    InVain,
    /// All who asked left.
    Abandoned,
}

impl<F: Future<Output = Result<ReadReply, AskError>>> Attempt<'_, '_, F> {
    /// Asks, for others too where there are any; none where it was in vain and others still ask.
    async fn ask(&mut self, asker: Option<Asker<'_>>) -> Option<Result<Shared, ApiError>> {
        let Some(asker) = asker else {
            return Some(self.ask_alone().await);
        };
        let outcome = select! {
            biased;
            asked = self.ask.as_mut() => match asked {
                Ok(reply) => {
                    self.keep(&reply);
                    asker.reply(&reply);
                    return Some(Ok(Shared { reply, source: ReadSource::Miss }));
                }
                Err(AskError { error, may_wait }) => {
                    asker.fail(&error);
                    if !may_wait {
                        return Some(Err(error));
                    }
                    self.failed = Some(error);
                    return None;
                }
            },
            // Somebody else who asks too was quicker.
            outcome = asker.read.outcome() => outcome,
        };
        match outcome.of(self.reader.tenant) {
            Some(outcome) => Some(outcome.map(coalesced)),
            None => Some(self.ask_alone().await),
        }
    }

    async fn ask_alone(&mut self) -> Result<Shared, ApiError> {
        let reply = self.ask.as_mut().await.map_err(|failed| failed.error)?;
        self.keep(&reply);
        let source = ReadSource::Miss;
        Ok(Shared { reply, source })
    }

    /// Waits for what others ask for, and asks too where the upstream keeps silent.
    async fn wait(&mut self, read: &Arc<InFlightRead>) -> Waited {
        let (in_flight, reader) = (&self.reads.in_flight, self.reader);
        tracing::debug!("waits for a read that is on its way");
        loop {
            let outcome = select! {
                biased;
                outcome = read.outcome() => outcome,
                () = read.silence(), if self.failed.is_none() => {
                    let asker = in_flight.ask_too(self.key, read, reader.tenant, reader.progress);
                    if asker.is_some()
                        && let Some(ended) = self.ask(asker).await
                    {
                        return Waited::Served(ended);
                    }
                    continue;
                }
            };
            if matches!(outcome, Outcome::Abandoned) {
                return Waited::Abandoned;
            }
            return match outcome.of(reader.tenant) {
                Some(outcome) => Waited::Served(outcome.map(coalesced)),
                None => Waited::InVain,
            };
        }
    }

    /// Keeps a reply if it can be used and is of the present generation.
    fn keep(&self, reply: &ReadReply) {
        let (reads, key) = (self.reads, self.key);
        if let (Some(kept), Some(outline)) = (reads.cache(), &reply.outline)
            && self.reader.freshness.may_keep
            && reads.generations.of(key) == self.generation
        {
            if !self.reader.freshness.may_share && reply.reply.body.len() > LARGE_BYTES {
                // What is kept of it is older.
                kept.invalidate(key);
                return;
            }
            let copy = Kept {
                generation: self.generation,
                since: Instant::now(),
                status: reply.reply.status,
                body: Bytes::copy_from_slice(&reply.reply.body),
                outline: outline.clone(),
            };
            kept.insert(Arc::clone(key), copy);
        }
    }
}

/// A reply that somebody else asked for.
const fn coalesced(reply: ReadReply) -> Shared {
    let source = ReadSource::Coalesced;
    Shared { reply, source }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod large_tests;

#[cfg(test)]
mod interleavings;

#[cfg(test)]
mod silence_tests;
