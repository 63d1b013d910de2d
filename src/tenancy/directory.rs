use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::{KeyDigest, KeyId, KeyRecord, Tenant, TenantId};
use crate::contract::{ApiError, AuthenticationFailure};

/// Tenants and keys in memory, as requests look them up: no lock, no store, no wait.
///
/// Keys stand in shards, each an immutable snapshot, so that the change of one key rebuilds one shard and a
/// million keys cost a request no more than ten. A tenant stands in a cell that its keys share, so that its
/// suspension touches no shard.
#[derive(Debug)]
pub struct Directory {
    shards: Vec<ArcSwap<Shard>>,
    tenants: ArcSwap<HashMap<TenantId, Arc<TenantCell>>>,
    is_loaded: AtomicBool,
}

/// Whoever a key turned out to be.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant as it was when the key was looked up.
    pub tenant: Arc<Tenant>,
    /// The visible prefix of the key.
    pub key: KeyId,
}

/// Empty once the tenant was deleted.
type TenantCell = ArcSwapOption<Tenant>;
type Shard = HashMap<KeyDigest, Entry, BuildHasherDefault<DigestHasher>>;

#[derive(Clone, Debug)]
struct Entry {
    tenant: Arc<TenantCell>,
    id: KeyId,
    is_revoked: bool,
}

const SHARDS: usize = 1024;

impl Default for Directory {
    fn default() -> Self {
        Self {
            shards: std::iter::repeat_with(ArcSwap::default).take(SHARDS).collect(),
            tenants: ArcSwap::default(),
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

    /// Finds the caller of a key.
    ///
    /// # Errors
    /// [`ApiError::NotReady`] before the first load; [`ApiError::Unauthenticated`] where the key is unknown or
    /// revoked, or its tenant suspended.
    pub fn caller(&self, key: &[u8]) -> Result<Caller, ApiError> {
        if !self.is_loaded() {
            return Err(ApiError::NotReady);
        }
        let digest = KeyDigest::of(key);
        let refused = |failure| Err(ApiError::Unauthenticated(failure));
        let Some(shard) = self.shards.get(shard_of(&digest)) else {
            return refused(AuthenticationFailure::Unknown);
        };
        let shard = shard.load();
        let Some(entry) = shard.get(&digest) else {
            return refused(AuthenticationFailure::Unknown);
        };
        if entry.is_revoked {
            return refused(AuthenticationFailure::Revoked);
        }
        let Some(tenant) = entry.tenant.load_full() else {
            return refused(AuthenticationFailure::Unknown);
        };
        if tenant.is_suspended {
            return refused(AuthenticationFailure::Suspended);
        }
        Ok(Caller {
            tenant,
            key: entry.id.clone(),
        })
    }

    /// Takes in what changed in the store since the last call; the first call brings everything. There is one
    /// writer, the task that follows the store.
    pub fn apply(&self, tenants: Vec<Tenant>, keys: Vec<KeyRecord>) {
        self.apply_tenants(tenants);
        self.apply_keys(keys);
        self.is_loaded.store(true, Ordering::Release);
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
        for (id, cell) in gone {
            cell.store(None);
            all.remove(id);
        }
        self.tenants.store(Arc::new(all));
    }

    fn apply_tenants(&self, changed: Vec<Tenant>) {
        let known = self.tenants.load_full();
        let mut new = Vec::new();
        for tenant in changed {
            match known.get(&tenant.id) {
                Some(cell) => cell.store(Some(Arc::new(tenant))),
                None => new.push((tenant.id.clone(), Arc::new(ArcSwapOption::from_pointee(tenant)))),
            }
        }
        if !new.is_empty() {
            let mut all = HashMap::clone(&known);
            all.extend(new);
            self.tenants.store(Arc::new(all));
        }
    }

    fn apply_keys(&self, changed: Vec<KeyRecord>) {
        let tenants = self.tenants.load();
        let mut by_shard: HashMap<usize, Vec<(KeyDigest, Entry)>> = HashMap::new();
        for key in changed {
            // A key without a tenant cannot come out of the store, whose schema forbids it.
            let Some(tenant) = tenants.get(&key.tenant).cloned() else {
                continue;
            };
            let entry = Entry {
                tenant,
                id: key.id,
                is_revoked: key.revoked_at.is_some(),
            };
            by_shard
                .entry(shard_of(&key.digest))
                .or_default()
                .push((key.digest, entry));
        }
        for (index, entries) in by_shard {
            let Some(shard) = self.shards.get(index) else {
                continue;
            };
            let mut rebuilt = Shard::clone(&shard.load());
            rebuilt.retain(|_, entry| entry.tenant.load().is_some());
            rebuilt.extend(entries);
            shard.store(Arc::new(rebuilt));
        }
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
mod tests {
    use super::*;
    use crate::tenancy::KeyText;

    fn tenant(name: &str) -> Tenant {
        Tenant {
            id: TenantId::generate().unwrap(),
            name: name.to_owned(),
            plan: "default".to_owned(),
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            is_suspended: false,
        }
    }

    fn record(tenant: &Tenant, key: &KeyText) -> KeyRecord {
        KeyRecord {
            id: key.id(),
            tenant: tenant.id.clone(),
            digest: key.digest(),
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            revoked_at: None,
        }
    }

    fn failure(directory: &Directory, key: &KeyText) -> AuthenticationFailure {
        match directory.caller(key.reveal().as_bytes()) {
            Err(ApiError::Unauthenticated(failure)) => failure,
            other => panic!("expected an authentication failure, got {other:?}"),
        }
    }

    #[test]
    fn nobody_is_turned_away_before_the_store_was_read() {
        let directory = Directory::default();
        assert!(matches!(directory.caller(b"sk-eg-x"), Err(ApiError::NotReady)));
        directory.apply(vec![], vec![]);
        assert!(matches!(
            directory.caller(b"sk-eg-x"),
            Err(ApiError::Unauthenticated(_))
        ));
    }

    #[test]
    fn a_key_finds_its_own_tenant_among_many() {
        let directory = Directory::default();
        let (one, two) = (tenant("one"), tenant("two"));
        let keys: Vec<KeyText> = (0..3000).map(|_| KeyText::generate().unwrap()).collect();
        let owner = |index: usize| if index.is_multiple_of(2) { &one } else { &two };
        let records = keys
            .iter()
            .enumerate()
            .map(|(index, key)| record(owner(index), key))
            .collect();
        directory.apply(vec![one.clone(), two.clone()], records);
        for (index, key) in keys.iter().enumerate() {
            let caller = directory.caller(key.reveal().as_bytes()).unwrap();
            assert_eq!(caller.tenant.name, owner(index).name);
            assert_eq!(caller.key, key.id());
        }
    }

    #[test]
    fn a_revoked_key_and_a_suspended_tenant_are_told_apart() {
        let directory = Directory::default();
        let tenant = tenant("demo");
        let (good, bad) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
        directory.apply(
            vec![tenant.clone()],
            vec![record(&tenant, &good), record(&tenant, &bad)],
        );

        let revoked = KeyRecord {
            revoked_at: Some("2026-01-02T00:00:00Z".to_owned()),
            ..record(&tenant, &bad)
        };
        directory.apply(vec![], vec![revoked]);
        assert_eq!(failure(&directory, &bad), AuthenticationFailure::Revoked);
        assert!(directory.caller(good.reveal().as_bytes()).is_ok());

        directory.apply(
            vec![Tenant {
                is_suspended: true,
                ..tenant.clone()
            }],
            vec![],
        );
        assert_eq!(failure(&directory, &good), AuthenticationFailure::Suspended);
        directory.apply(vec![tenant], vec![]);
        assert!(
            directory.caller(good.reveal().as_bytes()).is_ok(),
            "a tenant can come back"
        );
    }

    #[test]
    fn the_keys_of_a_deleted_tenant_are_unknown_at_once() {
        let directory = Directory::default();
        let (gone, stays) = (tenant("gone"), tenant("stays"));
        let (its, others) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
        directory.apply(
            vec![gone.clone(), stays.clone()],
            vec![record(&gone, &its), record(&stays, &others)],
        );
        directory.remove_tenants(std::slice::from_ref(&gone.id));
        assert_eq!(failure(&directory, &its), AuthenticationFailure::Unknown);
        assert!(directory.caller(others.reveal().as_bytes()).is_ok());

        directory.apply(vec![], vec![record(&gone, &its)]);
        assert_eq!(
            failure(&directory, &its),
            AuthenticationFailure::Unknown,
            "a key that was read before its tenant's end does not come back"
        );
    }
}
