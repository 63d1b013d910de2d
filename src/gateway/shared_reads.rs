//! Reads that several ask for at once, or one shortly after the other, cost the upstream's budget once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::generations::{Generations, Writing};
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

/// Who reads, as far as others who read the same come into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) freshness: Freshness,
    /// Whether it may wait for another's request. Who has a place in flight may not: the other may be waiting for just
    /// that place.
    pub(super) may_wait: bool,
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
    landed: watch::Receiver<Option<Landed>>,
}

/// What a flight has brought.
struct Landed {
    reply: Reply,
    /// Whose request the upstream refused, if it did. It may be for a header that only that one has sent, so it tells
    /// other tenants nothing.
    refused: Option<TenantId>,
}

impl Landed {
    fn serves(&self, tenant: &TenantId) -> bool {
        self.refused.as_ref().is_none_or(|refused| refused == tenant)
    }
}

/// A success that is kept: nothing of its header goes down with it. The bytes are its own, for those of a reply are a
/// part of whatever was read from the connection at once, and would keep all of that.
#[derive(Clone)]
struct Kept {
    generation: u64,
    since: Instant,
    status: StatusCode,
    body: Bytes,
}

/// What somebody who wants to read has to do.
enum Turn<'a> {
    Take(Shared),
    Wait(watch::Receiver<Option<Landed>>),
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
                    let texts = key.path_and_query.len() + kept.body.len();
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
    /// A success goes to all who wait for it, a refusal to those of the same tenant: they asked the same at the same
    /// time. Where `ask` fails or is given up there is no reply, and the next of them asks for itself.
    ///
    /// # Errors
    /// Those of `ask`, where it came to that.
    pub(super) async fn read<E>(
        &self,
        key: ReadKey,
        reader: Reader<'_>,
        ask: impl Future<Output = Result<Reply, E>>,
    ) -> Result<Shared, E> {
        let key = Arc::new(key);
        let leader = loop {
            match self.turn(&key, reader) {
                Turn::Take(shared) => return Ok(shared),
                Turn::Lead(leader) => break leader,
                Turn::Wait(mut flight) => {
                    if let Ok(landed) = flight.wait_for(Option::is_some).await
                        && let Some(landed) = landed.as_ref().filter(|landed| landed.serves(reader.tenant))
                    {
                        let (reply, source) = (landed.reply.clone(), ReadSource::Coalesced);
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

    /// Says that a write of an environment begins, or of one that is yet to be made. It ends when what is given back
    /// is dropped, which must be before the client is answered.
    pub(super) fn write(&self, access: &Arc<str>, environment: Option<&EnvironmentId>) -> Writing<'_> {
        self.generations.write(access, environment)
    }

    fn turn<'a>(&'a self, key: &Arc<ReadKey>, reader: Reader<'a>) -> Turn<'a> {
        let freshness = reader.freshness;
        let generation = self.generations.of(key);
        let lead = |flight| {
            Turn::Lead(Leader {
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
            return Turn::Take(shared);
        }
        let mut flights = self.flights.lock();
        match flights.get(key).filter(|flight| flight.generation == generation) {
            Some(flight) if reader.may_wait => Turn::Wait(flight.landed.clone()),
            Some(_) => lead(None),
            None => {
                let (sender, landed) = watch::channel(None);
                flights.insert(Arc::clone(key), Flight { generation, landed });
                lead(Some(sender))
            }
        }
    }

    fn kept(&self, key: &Arc<ReadKey>, generation: u64, max_age: Option<Duration>) -> Option<Shared> {
        let kept = self.kept.as_ref()?.get(key)?;
        let age = kept.since.elapsed();
        let is_fresh = kept.generation == generation && max_age.is_none_or(|limit| age <= limit);
        let reply = Reply {
            status: kept.status,
            headers: HeaderMap::new(),
            body: kept.body,
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
    flight: Option<watch::Sender<Option<Landed>>>,
}

impl Leader<'_> {
    /// Keeps a reply if it can be used and is of the present generation, and hands it to those who wait.
    fn land(mut self, reply: &Reply) {
        if let Some(kept) = &self.reads.kept
            && self.may_keep
            && self.reads.generations.of(&self.key) == self.generation
            && reply::is_readable(reply)
        {
            let copy = Kept {
                generation: self.generation,
                since: Instant::now(),
                status: reply.status,
                body: Bytes::copy_from_slice(&reply.body),
            };
            kept.insert(Arc::clone(&self.key), copy);
        }
        let Some(flight) = self.flight.take() else {
            return;
        };
        // First, so that nobody whom the reply does not serve finds this flight again.
        self.remove_flight();
        let refused = (!reply.status.is_success()).then(|| self.tenant.clone());
        let reply = reply.clone();
        flight.send_replace(Some(Landed { reply, refused }));
    }

    fn remove_flight(&self) {
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

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if self.flight.is_some() {
            self.remove_flight();
        }
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
mod tests;

#[cfg(test)]
mod interleavings;
