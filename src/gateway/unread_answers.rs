//! Large answers that their clients have not taken yet.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use super::request_log::Identity;
use crate::contract::{Answer, ApiError, Operation};
use crate::tenancy::TenantId;

/// What is no larger is taken by the kernel at once, whoever does not read it.
const LARGE_BYTES: usize = 64 * 1024;
/// The part of all bytes that the answers to one tenant may take: what another holds must not leave it
/// without.
const TENANTS_PART: usize = 4;

/// The large answers that are being written: how many of each tenant, and how many bytes they hold. Those
/// that are the same, byte for byte, share them.
#[derive(Debug)]
pub(super) struct UnreadAnswers {
    max_bytes: AtomicUsize,
    hashing: RandomState,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// All of them, so that a request of somebody else need not look any further.
    answers: AtomicUsize,
    unread: Mutex<Unread>,
}

#[derive(Debug, Default)]
struct Unread {
    bytes: usize,
    tenants: HashMap<TenantId, Usage>,
    /// By a hash of what they say.
    bodies: HashMap<u64, Weak<SharedBody>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    answers: usize,
    /// Those of the bodies that this tenant was the first to ask for.
    bytes: usize,
}

/// One answer that is being written; dropped, it is written or given up.
#[derive(Debug)]
pub(super) struct UnreadAnswer {
    state: Arc<State>,
    tenant: TenantId,
}

/// There are so many bytes already that another large answer may not wait for its client.
#[derive(Debug)]
struct NoRoom;

/// A body that several answers have in common.
#[derive(Debug)]
struct SharedBody {
    bytes: Bytes,
    hash: u64,
    tenant: TenantId,
    state: Arc<State>,
}

/// A reader's hold on a shared body.
struct Reader(Arc<SharedBody>);

impl AsRef<[u8]> for Reader {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl UnreadAnswers {
    /// At most `max_bytes` of all tenants together.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes: AtomicUsize::new(max_bytes),
            hashing: RandomState::new(),
            state: Arc::default(),
        }
    }

    /// At most `max_bytes` from now on; what is being written stays.
    pub(super) fn set_max(&self, max_bytes: usize) {
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    /// How many large answers a tenant has not taken.
    pub(super) fn count(&self, tenant: &TenantId) -> usize {
        if self.state.answers.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        let unread = self.state.unread.lock();
        unread.tenants.get(tenant).map_or(0, |usage| usage.answers)
    }

    /// Counts an answer among those that wait for their clients. Where there is no room for it a read fails; a
    /// write has been done, and says so.
    pub(super) fn count_answer(
        &self,
        outcome: Result<Answer, ApiError>,
        identity: &Identity<'_>,
    ) -> (Result<Answer, ApiError>, Option<UnreadAnswer>) {
        let (mut answer, caller) = match (outcome, &identity.caller) {
            (Ok(answer), Some(caller)) => (answer, caller),
            (outcome, _) => return (outcome, None),
        };
        match self.add(&caller.tenant.id, answer.body.clone()) {
            Ok((body, unread)) => {
                answer.body = body;
                (Ok(answer), unread)
            }
            Err(NoRoom) if identity.operation.is_some_and(Operation::is_write) => (Ok(answer), None),
            Err(NoRoom) => (Err(ApiError::OutOfResources), None),
        }
    }

    /// Takes in an answer that is about to be written to a tenant's client, and gives back its body, shared
    /// with those that are the same. A small one is none of its business.
    ///
    /// # Errors
    /// [`NoRoom`] where it would be too much. One is always possible.
    fn add(&self, tenant: &TenantId, body: Bytes) -> Result<(Bytes, Option<UnreadAnswer>), NoRoom> {
        if body.len() <= LARGE_BYTES {
            return Ok((body, None));
        }
        let hash = self.hashing.hash_one(&body);
        let known = self.state.unread.lock().bodies.get(&hash).and_then(Weak::upgrade);
        // Compared without the lock, and dropped without it.
        let shared = match known.filter(|known| known.bytes == body) {
            Some(shared) => shared,
            None => self.share(tenant, hash, &body)?,
        };
        self.state.answers.fetch_add(1, Ordering::Relaxed);
        let mut unread = self.state.unread.lock();
        unread.tenants.entry(tenant.clone()).or_default().answers += 1;
        let answer = UnreadAnswer {
            state: Arc::clone(&self.state),
            tenant: tenant.clone(),
        };
        Ok((Bytes::from_owner(Reader(shared)), Some(answer)))
    }

    fn share(&self, tenant: &TenantId, hash: u64, bytes: &[u8]) -> Result<Arc<SharedBody>, NoRoom> {
        let length = bytes.len();
        let fits = |held: usize, max: usize| held == 0 || held + length <= max;
        let mut unread = self.state.unread.lock();
        let of_tenant = unread.tenants.get(tenant).map_or(0, |usage| usage.bytes);
        let max_bytes = self.max_bytes.load(Ordering::Relaxed);
        if !fits(unread.bytes, max_bytes) || !fits(of_tenant, max_bytes / TENANTS_PART) {
            return Err(NoRoom);
        }
        unread.bytes += length;
        unread.tenants.entry(tenant.clone()).or_default().bytes += length;
        let shared = Arc::new(SharedBody {
            // A copy: as it came it is a part of something larger, which would be held with it and not counted.
            bytes: Bytes::copy_from_slice(bytes),
            hash,
            tenant: tenant.clone(),
            state: Arc::clone(&self.state),
        });
        unread.bodies.insert(hash, Arc::downgrade(&shared));
        Ok(shared)
    }
}

impl Unread {
    fn change(&mut self, tenant: &TenantId, change: impl FnOnce(&mut Usage)) {
        if let Some(usage) = self.tenants.get_mut(tenant) {
            change(usage);
            if usage.answers == 0 && usage.bytes == 0 {
                self.tenants.remove(tenant);
            }
        }
    }
}

impl Drop for SharedBody {
    fn drop(&mut self) {
        let length = self.bytes.len();
        let mut unread = self.state.unread.lock();
        unread.bytes = unread.bytes.saturating_sub(length);
        unread.change(&self.tenant, |usage| {
            usage.bytes = usage.bytes.saturating_sub(length)
        });
        // Another with the same hash may stand there by now.
        if unread
            .bodies
            .get(&self.hash)
            .is_some_and(|body| body.strong_count() == 0)
        {
            unread.bodies.remove(&self.hash);
        }
    }
}

impl Drop for UnreadAnswer {
    fn drop(&mut self) {
        self.state.answers.fetch_sub(1, Ordering::Relaxed);
        let mut unread = self.state.unread.lock();
        unread.change(&self.tenant, |usage| {
            usage.answers = usage.answers.saturating_sub(1)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 4 * 1024 * 1024;

    fn tenant(name: &str) -> TenantId {
        TenantId(name.to_owned())
    }

    fn body(first: u8) -> Bytes {
        let mut body = vec![0; 512 * 1024];
        body[0] = first;
        body.into()
    }

    #[test]
    fn answers_that_are_the_same_share_their_bytes_across_tenants() {
        let unread = UnreadAnswers::new(MAX);
        let (first, one) = unread.add(&tenant("a"), body(1)).unwrap();
        let (second, other) = unread.add(&tenant("b"), body(1)).unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr());
        assert_eq!(unread.state.unread.lock().bytes, first.len());
        assert_eq!((unread.count(&tenant("a")), unread.count(&tenant("b"))), (1, 1));
        drop((first, one));
        assert_eq!((unread.count(&tenant("a")), unread.count(&tenant("b"))), (0, 1));
        drop((second, other));
        let left = unread.state.unread.lock();
        assert_eq!((left.bytes, left.bodies.len(), left.tenants.len()), (0, 0, 0));
    }

    #[test]
    fn an_answer_that_was_a_part_of_something_larger_holds_nothing_of_it() {
        let block = Arc::new(vec![0_u8; 1024 * 1024]);
        struct Block(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Block {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let part = Bytes::from_owner(Block(Arc::clone(&block))).slice(..LARGE_BYTES + 1);
        let unread = UnreadAnswers::new(MAX);
        let (body, _answer) = unread.add(&tenant("a"), part).unwrap();
        assert_eq!(body.len(), LARGE_BYTES + 1);
        assert_eq!(Arc::strong_count(&block), 1);
    }

    #[test]
    fn different_answers_are_bounded_in_all_and_for_each_tenant() {
        let unread = UnreadAnswers::new(MAX);
        let mut held = Vec::new();
        for name in ["a", "b", "c", "d"] {
            for number in 0..2 {
                let first = name.as_bytes()[0] + 16 * number;
                held.push(unread.add(&tenant(name), body(first)).unwrap());
            }
            assert!(
                unread.add(&tenant(name), body(255)).is_err(),
                "{name} has its part"
            );
        }
        assert!(
            unread.add(&tenant("e"), body(254)).is_err(),
            "that is all there is"
        );
        assert!(unread.add(&tenant("e"), Bytes::from_static(b"small")).is_ok());
        held.pop();
        assert!(unread.add(&tenant("e"), body(254)).is_ok());
    }

    #[test]
    fn one_answer_is_possible_however_large_it_is() {
        let unread = UnreadAnswers::new(1024);
        let (body, answer) = unread.add(&tenant("a"), body(1)).unwrap();
        assert!(answer.is_some());
        drop((body, answer));
    }
}
