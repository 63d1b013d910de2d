//! Keys that nobody has, tried faster than anybody would by mistake.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config::Listen;
use crate::contract::{ApiError, AuthenticationFailure};
use crate::server::ClientNetwork;

/// How many clients are told apart, in 8 bytes each. Those that fall together count together, which can only
/// turn a 401 of theirs into a 429: who has a key is never looked up here.
const SLOTS: usize = 16 * 1024;
const WINDOW_SECONDS: u64 = 60;

/// How many unknown keys each client has tried in this minute. The table has one size, however many clients
/// there are, and its places are drawn by a secret, so that nobody can choose whom they share one with.
#[derive(Debug)]
pub(super) struct UnknownKeys {
    slots: Box<[AtomicU64]>,
    hashing: RandomState,
    started: Instant,
    /// The last second in which the log was told, from 1.
    told_at: AtomicU64,
}

/// A slot: the minute, whether the log was told of it, and how many keys were tried in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tried {
    minute: u32,
    is_told: bool,
    count: u32,
}

impl Tried {
    const TOLD: u32 = 1 << 31;

    fn from_bits(bits: u64) -> Self {
        let [m0, m1, m2, m3, c0, c1, c2, c3] = bits.to_be_bytes();
        let count = u32::from_be_bytes([c0, c1, c2, c3]);
        Self {
            minute: u32::from_be_bytes([m0, m1, m2, m3]),
            is_told: count & Self::TOLD != 0,
            count: count & !Self::TOLD,
        }
    }

    fn to_bits(self) -> u64 {
        let told = if self.is_told { Self::TOLD } else { 0 };
        u64::from(self.minute) << 32 | u64::from(self.count | told)
    }

    /// With one more key, tried in this minute.
    fn and_one(self, minute: u32) -> Self {
        if self.minute != minute {
            return Self {
                minute,
                is_told: false,
                count: 1,
            };
        }
        Self {
            count: (self.count + 1).min(Self::TOLD - 1),
            ..self
        }
    }
}

impl Default for UnknownKeys {
    fn default() -> Self {
        Self {
            slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect(),
            hashing: RandomState::new(),
            started: Instant::now(),
            told_at: AtomicU64::new(0),
        }
    }
}

impl UnknownKeys {
    /// Counts a key that nobody has, and gives back what is answered to whoever tried it: that it is unknown,
    /// or that they should stop.
    pub(super) fn refuse(&self, listen: &Listen, client: Option<IpAddr>) -> ApiError {
        self.refuse_at(listen, client, self.started.elapsed())
    }

    fn refuse_at(&self, listen: &Listen, client: Option<IpAddr>, now: Duration) -> ApiError {
        let unknown = ApiError::unauthenticated(AuthenticationFailure::Unknown);
        let (Some(limit), Some(client)) = (listen.unknown_keys_per_minute, client) else {
            return unknown;
        };
        if listen.trusted_networks.contains(client) {
            return unknown;
        }
        let client = ClientNetwork::of(client);
        let Some(slot) = self.slot(client) else {
            return unknown;
        };
        // From 1, as a slot that nobody has used is of minute 0.
        let minute = u32::try_from(now.as_secs() / WINDOW_SECONDS + 1).unwrap_or(u32::MAX);
        let count = |bits| Some(Tried::from_bits(bits).and_one(minute).to_bits());
        let before = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        let tried = Tried::from_bits(before.unwrap_or_default()).and_one(minute);
        if tried.count <= limit {
            return unknown;
        }
        if !tried.is_told && self.may_tell(now) {
            slot.fetch_or(u64::from(Tried::TOLD), Ordering::Relaxed);
            tracing::warn!(
                %client,
                limit,
                "unknown keys are tried faster than listen.unknown_keys_per_minute; for this minute the log is \
                 silent about them"
            );
        }
        let rest = WINDOW_SECONDS - now.as_secs() % WINDOW_SECONDS;
        ApiError::TooManyUnknownKeys {
            retry_after: Duration::from_secs(rest),
        }
    }

    fn slot(&self, client: ClientNetwork) -> Option<&AtomicU64> {
        let slots = u64::try_from(self.slots.len()).unwrap_or(u64::MAX);
        let index = self.hashing.hash_one(client) % slots;
        self.slots.get(usize::try_from(index).ok()?)
    }

    /// Whether the log may be told of one client more: of one a second, however many there are.
    fn may_tell(&self, now: Duration) -> bool {
        let second = now.as_secs() + 1;
        self.told_at.swap(second, Ordering::Relaxed) != second
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Source, load};

    fn listen(limit: &str) -> Listen {
        let text = format!("listen.unknown_keys_per_minute = {limit}");
        load(&Source::new("envgate.toml", text, [])).unwrap().listen
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// None for a 401.
    fn retry_after(keys: &UnknownKeys, listen: &Listen, client: &str, second: u64) -> Option<u64> {
        match keys.refuse_at(listen, Some(client.parse().unwrap()), at(second)) {
            ApiError::Unauthenticated { .. } => None,
            ApiError::TooManyUnknownKeys { retry_after } => Some(retry_after.as_secs()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn so_many_unknown_keys_are_401_and_further_ones_429_until_the_minute_is_over() {
        let (keys, listen) = (UnknownKeys::default(), listen("3"));
        for _ in 0..3 {
            assert_eq!(retry_after(&keys, &listen, "192.0.2.1", 10), None);
        }
        assert_eq!(retry_after(&keys, &listen, "192.0.2.1", 20), Some(40));
        assert_eq!(retry_after(&keys, &listen, "::ffff:192.0.2.1", 59), Some(1));
        assert_eq!(retry_after(&keys, &listen, "192.0.2.1", 60), None);
    }

    #[test]
    fn addresses_of_one_64_count_together_and_those_of_trusted_networks_never() {
        let (keys, listen) = (UnknownKeys::default(), listen("1"));
        assert_eq!(retry_after(&keys, &listen, "2001:db8::1", 0), None);
        assert_eq!(retry_after(&keys, &listen, "2001:db8::2", 0), Some(60));
        for _ in 0..10 {
            assert_eq!(retry_after(&keys, &listen, "127.0.0.1", 0), None);
        }
    }

    #[test]
    fn no_limit_is_no_limit() {
        let (keys, listen) = (UnknownKeys::default(), listen("\"unlimited\""));
        for _ in 0..1000 {
            assert_eq!(retry_after(&keys, &listen, "192.0.2.1", 0), None);
        }
    }

    #[test]
    fn the_table_is_as_large_after_a_million_addresses() {
        let (keys, listen) = (UnknownKeys::default(), listen("60"));
        for number in 0..1_000_000_u32 {
            keys.refuse_at(&listen, Some(IpAddr::from(number.to_be_bytes())), at(0));
        }
        assert_eq!(keys.slots.len() * size_of::<AtomicU64>(), 128 * 1024);
    }

    #[test]
    fn the_log_is_told_once_a_second_at_most() {
        let keys = UnknownKeys::default();
        let told = [0, 0, 1, 1, 1, 7].map(|second| keys.may_tell(at(second)));
        assert_eq!(told, [true, false, true, false, false, true]);
    }

    proptest! {
        #[test]
        fn a_slot_is_read_as_it_was_written(minute in any::<u32>(), is_told in any::<bool>(), count in 0..Tried::TOLD) {
            let tried = Tried { minute, is_told, count };
            prop_assert_eq!(Tried::from_bits(tried.to_bits()), tried);
        }
    }
}
