use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// A lock for each key: whoever holds it is the only one to do something with what the key names.
#[derive(Debug)]
pub(super) struct KeyedLocks<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

/// Nobody else has the lock of the key, until this is dropped.
pub(super) type KeyedLock = OwnedMutexGuard<()>;

/// From so many on, locks that nobody holds or waits for are forgotten.
const REMEMBERED_LOCKS: usize = 1024;

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash> KeyedLocks<K> {
    /// Waits until nobody else has the lock.
    pub(super) async fn lock(&self, key: K) -> KeyedLock {
        let lock = {
            let mut locks = self.0.lock();
            if locks.len() >= REMEMBERED_LOCKS {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(locks.entry(key).or_default())
        };
        lock.lock_owned().await
    }
}
