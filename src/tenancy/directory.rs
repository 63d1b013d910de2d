use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;

use super::{Caller, KeyDigest, KeyId, KeyRecord, Restrictions, Tenant, TenantId, TenantTraffic};
use crate::contract::{ApiError, AuthenticationFailure};

/// Tenants and keys in memory, as requests look them up: no lock, no store, no wait.
///
/// Keys stand in shards, each an immutable snapshot, so that the change of one key rebuilds one shard and a
/// million keys cost a request no more than ten. A tenant stands in a cell that its keys share, so that its
/// suspension or its end touches no shard.
#[derive(Debug)]
pub struct Directory {
    shards: Vec<ArcSwap<Shard>>,
    tenants: ArcSwap<HashMap<TenantId, Arc<TenantCell>>>,
    /// How many tenants each plan has.
    plans: ArcSwap<HashMap<String, usize>>,
    is_loaded: AtomicBool,
}

/// A tenant as its keys find it.
#[derive(Debug)]
struct TenantCell {
    /// None once it was deleted.
    tenant: ArcSwapOption<Tenant>,
    /// What it has asked for; made with its first request, for most of a million may never ask.
    traffic: OnceLock<Arc<TenantTraffic>>,
}

impl TenantCell {
    fn new(tenant: Arc<Tenant>) -> Arc<Self> {
        Arc::new(Self {
            tenant: ArcSwapOption::new(Some(tenant)),
            traffic: OnceLock::new(),
        })
    }
}

type Shard = HashMap<KeyDigest, Entry, BuildHasherDefault<DigestHasher>>;

/// What is known of one key, in 32 bytes: there may be a million. Its name is not among it, since whoever
/// presents the key presents that too.
#[derive(Debug)]
struct Entry {
    tenant: Arc<TenantCell>,
    restrictions: Option<Arc<Restrictions>>,
    /// Microseconds since 1970; [`NEVER`] where it does not expire.
    expires_at: i64,
    /// Seconds since 1970; 0 where it was not used since it came into memory.
    last_used: AtomicU32,
    is_revoked: bool,
}

/// What became of keys, by how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyChanges {
    /// Keys that nobody had before.
    pub added: u64,
    /// Keys that were good and are revoked.
    pub revoked: u64,
}

const SHARDS: usize = 1024;
const NEVER: i64 = i64::MAX;

impl Entry {
    fn new(tenant: Arc<TenantCell>, key: KeyRecord) -> Self {
        Self {
            tenant,
            restrictions: key.restrictions.map(Arc::new),
            expires_at: key.expires_at.map_or(NEVER, Timestamp::as_microsecond),
            last_used: AtomicU32::new(0),
            is_revoked: key.is_revoked,
        }
    }

    /// Written once a second at most, so that workers that share a key seldom wait for its cache line.
    fn note_use(&self, now: Timestamp) {
        let second = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
        if self.last_used.load(Ordering::Relaxed) != second {
            self.last_used.store(second, Ordering::Relaxed);
        }
    }
}

impl Clone for Entry {
    fn clone(&self) -> Self {
        Self {
            tenant: Arc::clone(&self.tenant),
            restrictions: self.restrictions.clone(),
            expires_at: self.expires_at,
            last_used: AtomicU32::new(self.last_used.load(Ordering::Relaxed)),
            is_revoked: self.is_revoked,
        }
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            shards: std::iter::repeat_with(ArcSwap::default).take(SHARDS).collect(),
            tenants: ArcSwap::default(),
            plans: ArcSwap::default(),
            is_loaded: AtomicBool::new(false),
        }
    }
}

impl Directory {
    /// Whether the store has been read at least once; before that nobody is let in or turned away.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Acquire)
    }

    /// How many tenants are on these plans, suspended ones too.
    #[must_use]
    pub fn count_on(&self, plans: &[String]) -> usize {
        let counts = self.plans.load();
        plans.iter().filter_map(|plan| counts.get(plan)).sum()
    }

    /// Finds the caller of a key, and notes that the key was used.
    ///
    /// # Errors
    /// [`ApiError::NotReady`] before the first load; [`ApiError::Unauthenticated`] where the key is unknown,
    /// revoked or expired, or its tenant suspended.
    pub fn caller(&self, key: &[u8], now: Timestamp) -> Result<Caller, ApiError> {
        if !self.is_loaded() {
            return Err(ApiError::NotReady);
        }
        let refused = |failure| Err(ApiError::unauthenticated(failure));
        let digest = KeyDigest::of(key);
        let (Some(id), Some(shard)) = (KeyId::of(key), self.shards.get(shard_of(&digest))) else {
            return refused(AuthenticationFailure::Unknown);
        };
        let shard = shard.load();
        let Some(entry) = shard.get(&digest) else {
            return refused(AuthenticationFailure::Unknown);
        };
        let Some(tenant) = entry.tenant.tenant.load_full() else {
            return refused(AuthenticationFailure::Unknown);
        };
        if entry.is_revoked {
            return refused(AuthenticationFailure::Revoked);
        }
        if now.as_microsecond() >= entry.expires_at {
            let at = Timestamp::from_microsecond(entry.expires_at).unwrap_or(now);
            return refused(AuthenticationFailure::Expired(at));
        }
        if tenant.is_suspended {
            return refused(AuthenticationFailure::Suspended);
        }
        entry.note_use(now);
        Ok(Caller {
            tenant,
            key: id,
            restrictions: entry.restrictions.clone(),
            traffic: Arc::clone(entry.tenant.traffic.get_or_init(Arc::default)),
        })
    }

    /// The keys that were used at `since` or later, each with the second of its last use. Looks at every key:
    /// for a task in the background.
    #[must_use]
    pub fn uses_since(&self, since: Timestamp) -> Vec<(KeyDigest, Timestamp)> {
        let mut uses = Vec::new();
        for shard in &self.shards {
            for (digest, entry) in shard.load().iter() {
                let second = i64::from(entry.last_used.load(Ordering::Relaxed));
                if second == 0 || second < since.as_second() {
                    continue;
                }
                if let Ok(last_used) = Timestamp::from_second(second) {
                    uses.push((*digest, last_used));
                }
            }
        }
        uses
    }

    /// Takes in all that changed in the store since the last call; the first call brings everything. There is
    /// one writer, the task that follows the store.
    pub fn apply(&self, tenants: Vec<Tenant>, keys: Vec<KeyRecord>) {
        self.extend(tenants, keys);
        self.set_loaded();
    }

    /// Takes in a part of what changed, which does not end the wait for the first load.
    pub fn extend(&self, tenants: Vec<Tenant>, keys: Vec<KeyRecord>) -> KeyChanges {
        self.apply_tenants(tenants);
        self.apply_keys(keys)
    }

    /// Notes that the store has been read to its end once.
    pub fn set_loaded(&self) {
        self.is_loaded.store(true, Ordering::Release);
    }

    /// The tenants that have asked for anything since they came into memory, and what they have asked for. Looks at every
    /// tenant: for whoever shows it.
    #[must_use]
    pub fn traffic(&self) -> Vec<(Arc<Tenant>, Arc<TenantTraffic>)> {
        let tenants = self.tenants.load();
        let asked = tenants.values().filter_map(|cell| {
            let traffic = cell.traffic.get()?;
            Some((cell.tenant.load_full()?, Arc::clone(traffic)))
        });
        asked.collect()
    }

    /// How many tenants, suspended ones left out, are on a plan that is not configured.
    pub fn count_outside(&self, is_configured: impl Fn(&str) -> bool) -> usize {
        let is_outside = |cell: &&Arc<TenantCell>| {
            cell.tenant
                .load()
                .as_ref()
                .is_some_and(|tenant| !tenant.is_suspended && !is_configured(&tenant.plan))
        };
        self.tenants.load().values().filter(is_outside).count()
    }

    /// Forgets tenants that were deleted. Their keys are unknown at once; their place in memory is free when
    /// their shard is next rebuilt.
    pub fn remove_tenants(&self, deleted: &[TenantId]) {
        let known = self.tenants.load_full();
        let gone: Vec<_> = deleted.iter().filter_map(|id| known.get_key_value(id)).collect();
        if gone.is_empty() {
            return;
        }
        let mut all = HashMap::clone(&known);
        let mut left = Vec::new();
        for (id, cell) in gone {
            left.extend(cell.tenant.swap(None));
            all.remove(id);
        }
        self.tenants.store(Arc::new(all));
        self.count(&[], &left);
    }

    /// Drops what is not among these, because the store no longer has it. Gives the number of keys that went.
    pub fn retain(&self, tenants: &HashSet<TenantId>, keys: &HashSet<KeyDigest>) -> usize {
        let known = self.tenants.load();
        let gone: Vec<_> = known
            .keys()
            .filter(|id| !tenants.contains(*id))
            .cloned()
            .collect();
        self.remove_tenants(&gone);
        let mut dropped = 0;
        for shard in &self.shards {
            let known = shard.load();
            let left = known.keys().filter(|digest| keys.contains(*digest)).count();
            if left < known.len() {
                dropped += known.len() - left;
                let mut rebuilt = Shard::clone(&known);
                rebuilt.retain(|digest, _| keys.contains(digest));
                shard.store(Arc::new(rebuilt));
            }
        }
        dropped
    }

    fn apply_tenants(&self, changed: Vec<Tenant>) {
        let known = self.tenants.load_full();
        let changed: Vec<_> = changed.into_iter().map(Arc::new).collect();
        // Whoever moves counts on both plans for a moment, never on neither.
        self.count(&changed, &[]);
        let mut new = Vec::new();
        let mut left = Vec::new();
        for tenant in changed {
            match known.get(&tenant.id) {
                Some(cell) => left.extend(cell.tenant.swap(Some(tenant))),
                None => new.push((tenant.id.clone(), TenantCell::new(tenant))),
            }
        }
        if !new.is_empty() {
            let mut all = HashMap::clone(&known);
            all.extend(new);
            self.tenants.store(Arc::new(all));
        }
        self.count(&[], &left);
    }

    /// Counts tenants in and out of their plans.
    fn count(&self, joined: &[Arc<Tenant>], left: &[Arc<Tenant>]) {
        if joined.is_empty() && left.is_empty() {
            return;
        }
        let mut counts = HashMap::clone(&self.plans.load());
        for tenant in joined {
            *counts.entry(tenant.plan.clone()).or_default() += 1;
        }
        for tenant in left {
            if let Some(count) = counts.get_mut(&tenant.plan) {
                *count = count.saturating_sub(1);
            }
        }
        counts.retain(|_, count| *count > 0);
        self.plans.store(Arc::new(counts));
    }

    fn apply_keys(&self, changed: Vec<KeyRecord>) -> KeyChanges {
        let mut changes = KeyChanges::default();
        let tenants = self.tenants.load();
        let mut by_shard: HashMap<usize, Vec<KeyRecord>> = HashMap::new();
        for key in changed {
            by_shard.entry(shard_of(&key.digest)).or_default().push(key);
        }
        for (index, keys) in by_shard {
            let Some(shard) = self.shards.get(index) else {
                continue;
            };
            let mut rebuilt = Shard::clone(&shard.load());
            rebuilt.retain(|_, entry| entry.tenant.tenant.load().is_some());
            for key in keys {
                // Its tenant was deleted, or is told the next time, and the key with it.
                let Some(tenant) = tenants.get(&key.tenant) else {
                    continue;
                };
                let (digest, is_revoked) = (key.digest, key.is_revoked);
                let entry = Entry::new(Arc::clone(tenant), key);
                let before = rebuilt.insert(digest, entry);
                let was_revoked = before.as_ref().is_some_and(|before| before.is_revoked);
                changes.added += u64::from(before.is_none() && !is_revoked);
                changes.revoked += u64::from(before.is_some() && is_revoked && !was_revoked);
                if let (Some(before), Some(after)) = (before, rebuilt.get(&digest)) {
                    after
                        .last_used
                        .store(before.last_used.into_inner(), Ordering::Relaxed);
                }
            }
            shard.store(Arc::new(rebuilt));
        }
        changes
    }
}

fn shard_of(digest: &KeyDigest) -> usize {
    let [a, b, ..] = *digest.as_bytes();
    usize::from(u16::from_be_bytes([a, b])) % SHARDS
}

/// A digest is as good as random already: its own bytes are its hash. The shard takes the first two, the map
/// within it the eight after them.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(&[_, _, a, b, c, d, e, f, g, h]) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        }
    }

    fn write_usize(&mut self, _length_prefix: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
