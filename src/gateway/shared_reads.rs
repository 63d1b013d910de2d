//! Reads that several ask for at once, or one shortly after the other, cost the upstream's budget once.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::reply;
use crate::config;
use crate::environment::EnvironmentId;
use crate::tenancy::TenantId;
use crate::upstream::Reply;

/// Replies to reads that are under way or were just there, as the upstream gave them: before the dialect, and before
/// any list is filtered.
///
/// A write raises the generation of what it touches when it starts and when its outcome is known. A read goes only by
/// what was asked for in the present generation, so that after the answer to a write nobody sees what was before it.
/// What another gateway writes is not known here; that shows after [`config::Cache::ttl`].
pub(super) struct SharedReads {
    flights: Mutex<HashMap<Arc<ReadKey>, Flight>>,
    /// None where nothing is to be kept.
    kept: Option<Cache<Arc<ReadKey>, Kept>>,
    generations: Generations,
}

/// All that a reply depends on. Two reads with one key may share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ReadKey {
    pub(super) subject: Subject,
    /// The part of the upstream that is seen.
    pub(super) access: Arc<str>,
    pub(super) dialect: &'static str,
    /// `anthropic-version` and `anthropic-beta` as they go up.
    pub(super) version: Option<HeaderValue>,
    pub(super) betas: Option<HeaderValue>,
    pub(super) path_and_query: String,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// One environment, for one tenant.
    Environment(EnvironmentId, TenantId),
    /// A page of everybody's environments; each reader picks its own.
    List,
}

/// What a client's `cache-control` asks of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freshness {
    may_share: bool,
    may_keep: bool,
    max_age: Option<Duration>,
}

/// A reply, and where it came from.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reply: Reply,
    pub(super) source: ReadSource,
}

/// Where a reply to a read came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadSource {
    /// From memory, where it has been for so long.
    Hit(Duration),
    /// From the request of somebody who asked for the same just before.
    Coalesced,
    /// From the upstream.
    Miss,
}

/// A request that others may wait for.
struct Flight {
    generation: u64,
    reply: watch::Receiver<Option<Reply>>,
}

#[derive(Clone)]
struct Kept {
    generation: u64,
    since: Instant,
    reply: Reply,
}

/// What somebody who wants to read has to do.
enum Turn<'a> {
    Take(Shared),
    Wait(watch::Receiver<Option<Reply>>),
    Lead(Leader<'a>),
}

/// What an entry takes beside the texts in it, about.
const ENTRY_BYTES: usize = 512;
/// The name of the header that says where a read's reply came from.
const SOURCE: HeaderName = HeaderName::from_static("envgate-cache");

impl SharedReads {
    pub(super) fn new(settings: &config::Cache) -> Self {
        let kept = (!settings.ttl.is_zero()).then(|| {
            Cache::builder()
                .max_capacity(settings.max_bytes)
                .weigher(|key: &Arc<ReadKey>, kept: &Kept| {
                    let texts = key.path_and_query.len() + kept.reply.body.len();
                    u32::try_from(ENTRY_BYTES + texts).unwrap_or(u32::MAX)
                })
                .time_to_live(settings.ttl)
                .build()
        });
        Self {
            flights: Mutex::default(),
            kept,
            generations: Generations::new(),
        }
    }

    /// The reply to a read: one that is kept, or that somebody else is about to get, or what `ask` gets.
    ///
    /// A reply goes to all who wait for it, whatever its status: they asked the same at the same time. Where `ask`
    /// fails or is given up there is none, and the next of them asks for itself.
    ///
    /// # Errors
    /// Those of `ask`, where it came to that.
    pub(super) async fn read<E>(
        &self,
        key: ReadKey,
        freshness: Freshness,
        ask: impl Future<Output = Result<Reply, E>>,
    ) -> Result<Shared, E> {
        let key = Arc::new(key);
        let leader = loop {
            match self.turn(&key, freshness) {
                Turn::Take(shared) => return Ok(shared),
                Turn::Lead(leader) => break leader,
                Turn::Wait(mut flight) => {
                    if let Ok(reply) = flight.wait_for(Option::is_some).await
                        && let Some(reply) = reply.clone()
                    {
                        let source = ReadSource::Coalesced;
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

    /// Says that a write of an environment begins, or of one that is yet to be made. It ends when what is given back
    /// is dropped, which must be before the client is answered.
    pub(super) fn write(&self, access: &Arc<str>, environment: Option<&EnvironmentId>) -> Writing<'_> {
        let writing = Writing {
            generations: &self.generations,
            access: Arc::clone(access),
            environment: environment.cloned(),
        };
        writing.raise();
        writing
    }

    fn turn(&self, key: &Arc<ReadKey>, freshness: Freshness) -> Turn<'_> {
        let generation = self.generations.of(key).load(Ordering::SeqCst);
        let lead = |reply| {
            Turn::Lead(Leader {
                reads: self,
                key: Arc::clone(key),
                generation,
                may_keep: freshness.may_keep,
                reply,
            })
        };
        if !freshness.may_share {
            return lead(None);
        }
        if let Some(shared) = self.kept(key, generation, freshness.max_age) {
            return Turn::Take(shared);
        }
        let mut flights = self.flights.lock();
        match flights.get(key).filter(|flight| flight.generation == generation) {
            Some(flight) => Turn::Wait(flight.reply.clone()),
            None => {
                let (sender, reply) = watch::channel(None);
                flights.insert(Arc::clone(key), Flight { generation, reply });
                lead(Some(sender))
            }
        }
    }

    fn kept(&self, key: &Arc<ReadKey>, generation: u64, max_age: Option<Duration>) -> Option<Shared> {
        let kept = self.kept.as_ref()?.get(key)?;
        let age = kept.since.elapsed();
        let is_fresh = kept.generation == generation && max_age.is_none_or(|limit| age <= limit);
        is_fresh.then_some(Shared {
            reply: kept.reply,
            source: ReadSource::Hit(age),
        })
    }
}

/// Who asks the upstream, perhaps for others too. Dropped without a reply, it leaves the flight to the next.
struct Leader<'a> {
    reads: &'a SharedReads,
    key: Arc<ReadKey>,
    generation: u64,
    may_keep: bool,
    /// Where others wait; none where the client wanted a reply of its own.
    reply: Option<watch::Sender<Option<Reply>>>,
}

impl Leader<'_> {
    /// Keeps a reply if it can be used and is of the present generation, and hands it to those who wait.
    fn land(self, reply: &Reply) {
        let generation = self.generation;
        let is_present = self.reads.generations.of(&self.key).load(Ordering::SeqCst) == generation;
        if let Some(kept) = &self.reads.kept
            && self.may_keep
            && is_present
            && reply::is_readable(reply)
        {
            kept.insert(
                Arc::clone(&self.key),
                Kept {
                    generation,
                    since: Instant::now(),
                    reply: reply.clone(),
                },
            );
        }
        if let Some(waiting) = &self.reply {
            waiting.send_replace(Some(reply.clone()));
        }
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if self.reply.is_none() {
            return;
        }
        let mut flights = self.reads.flights.lock();
        // A newer generation may have put its own flight in the place of this one.
        if flights
            .get(&self.key)
            .is_some_and(|flight| flight.generation == self.generation)
        {
            flights.remove(&self.key);
        }
    }
}

/// A write that is under way.
pub(super) struct Writing<'a> {
    generations: &'a Generations,
    access: Arc<str>,
    environment: Option<EnvironmentId>,
}

impl Writing<'_> {
    /// Names the environment that the write has made.
    pub(super) fn made(&mut self, environment: &EnvironmentId) {
        self.environment = Some(environment.clone());
    }

    fn raise(&self) {
        self.generations.raise(&ListOf(&self.access));
        if let Some(environment) = &self.environment {
            self.generations.raise(environment);
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.raise();
    }
}

/// The generations of everything that can be read, in bounded memory: what shares a number with something that was
/// written is read anew without need.
struct Generations {
    numbers: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// The lists of a part of the upstream.
#[derive(Hash)]
struct ListOf<'a>(&'a str);

const GENERATIONS: usize = 4096;

impl Generations {
    fn new() -> Self {
        Self {
            numbers: std::iter::repeat_with(AtomicU64::default)
                .take(GENERATIONS)
                .collect(),
            hasher: RandomState::new(),
        }
    }

    fn of(&self, key: &ReadKey) -> &AtomicU64 {
        match &key.subject {
            Subject::Environment(id, _) => self.number(id),
            Subject::List => self.number(&ListOf(&key.access)),
        }
    }

    fn raise(&self, written: &impl Hash) {
        self.number(written).fetch_add(1, Ordering::SeqCst);
    }

    #[expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "the index is below the length, and any bits of a hash will do"
    )]
    fn number(&self, written: &impl Hash) -> &AtomicU64 {
        &self.numbers[self.hasher.hash_one(written) as usize % GENERATIONS]
    }
}

impl Freshness {
    /// Whatever serves others too.
    pub(super) const ANY: Self = Self {
        may_share: true,
        may_keep: true,
        max_age: None,
    };

    /// A reply of one's own, asked for now. Others may have it afterwards.
    pub(super) const NEW: Self = Self {
        may_share: false,
        may_keep: true,
        max_age: None,
    };

    /// What the client's header asks for. Directives that mean nothing here are passed over.
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        let mut asked = Self::ANY;
        let values = headers.get_all(CACHE_CONTROL).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        for directive in texts.flat_map(|text| text.split(',')).map(str::trim) {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.to_ascii_lowercase().as_str() {
                "no-cache" => asked.may_share = false,
                "no-store" => (asked.may_share, asked.may_keep) = (false, false),
                "max-age" => asked.max_age = argument.parse().ok().map(Duration::from_secs),
                _ => {}
            }
        }
        asked
    }
}

impl ReadSource {
    /// The label of the metric and the value of the header.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hit(_) => "hit",
            Self::Coalesced => "coalesced",
            Self::Miss => "miss",
        }
    }

    /// Where an answer came from that is made of two replies: it cost the upstream something if one of them did, and
    /// is as old as the older.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Miss, _) | (_, Self::Miss) => Self::Miss,
            (Self::Coalesced, _) | (_, Self::Coalesced) => Self::Coalesced,
            (Self::Hit(one), Self::Hit(other)) => Self::Hit(one.max(other)),
        }
    }

    /// The headers that tell the client.
    pub(super) fn headers(self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let age = match self {
            Self::Hit(age) => Some((http::header::AGE, HeaderValue::from(age.as_secs()))),
            Self::Coalesced | Self::Miss => None,
        };
        age.into_iter()
            .chain([(SOURCE, HeaderValue::from_static(self.name()))])
    }
}

#[cfg(test)]
#[path = "shared_reads_tests.rs"]
mod tests;
