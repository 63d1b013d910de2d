//! Reads that several ask for at once, or one shortly after the other, cost the upstream's budget once.

mod freshness;
mod generations;
mod key;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use self::generations::{Generations, Writing};
use super::response::{Outline, ReadReply};
use crate::config;
use crate::environment::EnvironmentId;
use crate::tenancy::TenantId;
use crate::upstream::Reply;

pub(super) use self::freshness::{Freshness, ReadSource};
pub(super) use self::key::{ReadKey, Subject};

/// Replies to reads that are under way or were just there, as the upstream gave them: before the dialect, and
/// before any list is filtered.
///
/// A write raises the generation of what it touches when it starts and when its outcome is known. A read goes
/// only by what was asked for in the present generation, so that after the answer to a write nobody sees what
/// was before it. What another gateway writes is not known here; that shows after [`config::Cache::ttl`].
pub(super) struct SharedReads {
    in_flight: Mutex<HashMap<Arc<ReadKey>, InFlightRead>>,
    /// None where nothing is to be kept.
    kept: Option<Cache<Arc<ReadKey>, Kept>>,
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
}

/// A reply, and where it came from.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reply: ReadReply,
    pub(super) source: ReadSource,
}

/// A request that others may wait for.
struct InFlightRead {
    generation: u64,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// What the request has brought.
struct Outcome {
    reply: ReadReply,
    /// Whose request the upstream refused, if it did. It may be for a header that only that one has sent, so
    /// it tells other tenants nothing.
    refused: Option<TenantId>,
}

impl Outcome {
    fn serves(&self, tenant: &TenantId) -> bool {
        self.refused.as_ref().is_none_or(|refused| refused == tenant)
    }
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

/// What somebody who wants to read has to do.
enum Lookup<'a> {
    Hit(Shared),
    Join(watch::Receiver<Option<Outcome>>),
    Lead(Leader<'a>),
}

/// What the cache itself takes for an entry, about.
const ENTRY_BYTES: usize = 512;

impl SharedReads {
    pub(super) fn new(settings: &config::Cache) -> Self {
        let kept = (!settings.ttl.is_zero()).then(|| {
            Cache::builder()
                .max_capacity(settings.max_bytes)
                .weigher(|key: &Arc<ReadKey>, kept: &Kept| {
                    u32::try_from(ENTRY_BYTES + key.bytes() + kept.bytes()).unwrap_or(u32::MAX)
                })
                .time_to_live(settings.ttl)
                .build()
        });
        Self {
            in_flight: Mutex::default(),
            kept,
            is_alone: AtomicBool::new(true),
            generations: Generations::new(),
        }
    }

    /// The reply to a read: one that is kept, or that somebody else is about to get, or what `ask` gets.
    ///
    /// A success goes to all who wait for it, a refusal to those of the same tenant: they asked the same at
    /// the same time. Where `ask` fails or is given up there is no reply, and the next of them asks for
    /// itself.
    ///
    /// # Errors
    /// Those of `ask`, where it came to that.
    pub(super) async fn read<E>(
        &self,
        key: ReadKey,
        reader: Reader<'_>,
        ask: impl Future<Output = Result<ReadReply, E>>,
    ) -> Result<Shared, E> {
        let key = Arc::new(key);
        let leader = loop {
            match self.look_up(&key, reader) {
                Lookup::Hit(shared) => return Ok(shared),
                Lookup::Lead(leader) => break leader,
                Lookup::Join(mut flight) => {
                    if let Ok(outcome) = flight.wait_for(Option::is_some).await
                        && let Some(outcome) =
                            outcome.as_ref().filter(|outcome| outcome.serves(reader.tenant))
                    {
                        let (reply, source) = (outcome.reply.clone(), ReadSource::Coalesced);
                        return Ok(Shared { reply, source });
                    }
                }
            }
        };
        let reply = ask.await?;
        leader.land(&reply);
        let source = ReadSource::Miss;
        Ok(Shared { reply, source })
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

    fn look_up<'a>(&'a self, key: &Arc<ReadKey>, reader: Reader<'a>) -> Lookup<'a> {
        let freshness = reader.freshness;
        let generation = self.generations.of(key);
        let lead = |flight| {
            Lookup::Lead(Leader {
                reads: self,
                key: Arc::clone(key),
                generation,
                tenant: reader.tenant,
                may_keep: freshness.may_keep,
                flight,
            })
        };
        if !freshness.may_share {
            return lead(None);
        }
        if let Some(shared) = self.kept(key, generation, freshness.max_age) {
            return Lookup::Hit(shared);
        }
        let mut in_flight = self.in_flight.lock();
        match in_flight
            .get(key)
            .filter(|flight| flight.generation == generation)
        {
            Some(flight) if reader.may_wait => Lookup::Join(flight.outcome.clone()),
            Some(_) => lead(None),
            None => {
                let (sender, outcome) = watch::channel(None);
                in_flight.insert(Arc::clone(key), InFlightRead { generation, outcome });
                lead(Some(sender))
            }
        }
    }

    /// What is kept while another gateway writes may be outdated without anybody here knowing, so nothing is.
    pub(super) fn set_alone(&self, is_alone: bool) {
        self.is_alone.store(is_alone, Ordering::Relaxed);
        if let Some(kept) = &self.kept {
            kept.invalidate_all();
        }
    }

    fn cache(&self) -> Option<&Cache<Arc<ReadKey>, Kept>> {
        self.kept
            .as_ref()
            .filter(|_| self.is_alone.load(Ordering::Relaxed))
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

/// Who asks the upstream, perhaps for others too. Dropped without a reply, it leaves the flight to the next.
struct Leader<'a> {
    reads: &'a SharedReads,
    key: Arc<ReadKey>,
    generation: u64,
    tenant: &'a TenantId,
    may_keep: bool,
    /// Where others wait; none where it asks for itself alone.
    flight: Option<watch::Sender<Option<Outcome>>>,
}

impl Leader<'_> {
    /// Keeps a reply if it can be used and is of the present generation, and hands it to those who wait.
    fn land(mut self, reply: &ReadReply) {
        if let (Some(kept), Some(outline)) = (self.reads.cache(), &reply.outline)
            && self.may_keep
            && self.reads.generations.of(&self.key) == self.generation
        {
            let copy = Kept {
                generation: self.generation,
                since: Instant::now(),
                status: reply.reply.status,
                body: Bytes::copy_from_slice(&reply.reply.body),
                outline: outline.clone(),
            };
            kept.insert(Arc::clone(&self.key), copy);
        }
        let Some(flight) = self.flight.take() else {
            return;
        };
        // First, so that nobody whom the reply does not serve finds this flight again.
        self.remove_in_flight();
        let refused = (!reply.reply.status.is_success()).then(|| self.tenant.clone());
        let reply = reply.clone();
        flight.send_replace(Some(Outcome { reply, refused }));
    }

    fn remove_in_flight(&self) {
        let mut in_flight = self.reads.in_flight.lock();
        // A newer generation may have put its own flight in the place of this one.
        if in_flight
            .get(&self.key)
            .is_some_and(|flight| flight.generation == self.generation)
        {
            in_flight.remove(&self.key);
        }
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if self.flight.is_some() {
            self.remove_in_flight();
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod interleavings;
