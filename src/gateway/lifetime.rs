use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::config::Listen;

/// How long a connection is to be used: balancers that keep them for ever would never come to a gateway that
/// was started later. Each ends a little sooner than it may, by chance, so that not all of a balancer's end
/// at once.
#[derive(Debug)]
pub(super) struct Lifetime {
    opened: Instant,
    max_requests: u64,
    /// None for any age.
    max_age: Option<Duration>,
}

/// Why a connection is not used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worn {
    Requests,
    Age,
}

impl Lifetime {
    /// Of a connection that begins now.
    pub(super) fn begin(listen: &Listen) -> Self {
        // Each of these has keys of its own, so what it makes of nothing is a random number.
        Self::new(listen, RandomState::new().hash_one(()))
    }

    fn new(listen: &Listen, random: u64) -> Self {
        let [low, high, ..] = random.to_ne_bytes();
        let part = u16::from_ne_bytes([low, high]);
        let max_requests = u64::try_from(listen.max_requests_per_connection).unwrap_or(u64::MAX);
        let age = listen.max_connection_age;
        Self {
            opened: Instant::now(),
            max_requests: max_requests - max_requests / 10 * u64::from(part) / u64::from(u16::MAX),
            max_age: (!age.is_zero()).then(|| age - age / 10 * u32::from(part) / u32::from(u16::MAX)),
        }
    }

    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Whether the answer to its request of this number, from 1, is to be its last.
    pub(super) fn is_over_with(&self, request: u64) -> Option<Worn> {
        if request >= self.max_requests {
            return Some(Worn::Requests);
        }
        let is_old = self.max_age.is_some_and(|max_age| self.age() >= max_age);
        is_old.then_some(Worn::Age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn listen(text: &str) -> Listen {
        load(&Source::new("envgate.toml", text, [])).unwrap().listen
    }

    #[test]
    fn the_end_comes_up_to_a_tenth_sooner_than_it_has_to() {
        let listen = listen("listen.max_requests_per_connection = 1000\nlisten.max_connection_age = \"10s\"");
        let [least, most] = [u64::MAX, 0].map(|random| Lifetime::new(&listen, random));
        assert_eq!(
            (least.max_requests, least.max_age),
            (900, Some(Duration::from_secs(9)))
        );
        assert_eq!(
            (most.max_requests, most.max_age),
            (1000, Some(Duration::from_secs(10)))
        );
        assert_eq!(most.is_over_with(999), None);
        assert_eq!(most.is_over_with(1000), Some(Worn::Requests));
        let some: std::collections::HashSet<_> =
            (0..20).map(|_| Lifetime::begin(&listen).max_requests).collect();
        assert!(some.len() > 1, "not all at once: {some:?}");
    }

    #[test]
    fn one_request_is_the_least_and_an_age_can_be_off() {
        let listen = listen("listen.max_requests_per_connection = 1\nlisten.max_connection_age = \"off\"");
        let lifetime = Lifetime::begin(&listen);
        assert_eq!((lifetime.max_requests, lifetime.max_age), (1, None));
        assert_eq!(lifetime.is_over_with(1), Some(Worn::Requests));
    }
}
