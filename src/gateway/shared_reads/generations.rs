//! How a read knows that something was written meanwhile.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::key::{ReadKey, Subject};
use crate::environment::EnvironmentId;

/// The generations of everything that can be read, in bounded memory: what shares a number with something
/// that was written is read anew without need.
pub(super) struct Generations {
    numbers: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// The lists of a part of the upstream.
#[derive(Hash)]
struct ListOf<'a>(&'a str);

const GENERATIONS: usize = 4096;

impl Generations {
    pub(super) fn new() -> Self {
        Self {
            numbers: std::iter::repeat_with(AtomicU64::default)
                .take(GENERATIONS)
                .collect(),
            hasher: RandomState::new(),
        }
    }

    /// The present generation of what is read.
    pub(super) fn of(&self, key: &ReadKey) -> u64 {
        let number = match &key.subject {
            Subject::Environment(id, _) => self.number(id),
            Subject::List | Subject::Page => self.number(&ListOf(&key.access)),
        };
        number.load(Ordering::SeqCst)
    }

    /// Says that a write of an environment begins, or of one that is yet to be made. It ends when what is
    /// given back is dropped.
    pub(super) fn write(&self, access: &Arc<str>, environment: Option<&EnvironmentId>) -> Writing<'_> {
        let writing = Writing {
            generations: self,
            access: Arc::clone(access),
            environment: environment.cloned(),
        };
        writing.raise();
        writing
    }

    /// An environment has become another than what was read of it, whoever wrote it.
    pub(super) fn outdate(&self, environment: &EnvironmentId) {
        self.raise(environment);
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

/// A write that is under way.
pub(in crate::gateway) struct Writing<'a> {
    generations: &'a Generations,
    access: Arc<str>,
    environment: Option<EnvironmentId>,
}

impl Writing<'_> {
    /// Names the environment that the write has made.
    pub(in crate::gateway) fn made(&mut self, environment: &EnvironmentId) {
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
