use std::collections::BTreeMap;

use super::kind::{ByKind, Kind, Open};

/// A number that grows with every arrival.
pub(super) type Arrival = u64;

/// Those who wait, first come, first served within each kind: where no more creates may be sent, reads go on.
#[derive(Debug)]
pub(super) struct Line<T>(ByKind<BTreeMap<Arrival, T>>);

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self(ByKind::new(|_| BTreeMap::new()))
    }
}

impl<T> Line<T> {
    pub(super) fn push(&mut self, kind: Kind, arrival: Arrival, waiter: T) {
        self.0.of_mut(kind).insert(arrival, waiter);
    }

    pub(super) fn remove(&mut self, kind: Kind, arrival: Arrival) -> Option<T> {
        self.0.of_mut(kind).remove(&arrival)
    }

    /// The kind of who came first of all that are of an open kind.
    pub(super) fn first(&self, open: &Open) -> Option<Kind> {
        let head = |kind: &Kind| Some((*self.0.of(*kind).first_key_value()?.0, *kind));
        let heads = Kind::ALL.into_iter().filter(|kind| *open.of(*kind));
        let first = heads
            .filter_map(|kind| head(&kind))
            .min_by_key(|(arrival, _)| *arrival);
        first.map(|(_, kind)| kind)
    }

    /// Takes out who came first of all that are of an open kind.
    pub(super) fn pop(&mut self, open: &Open) -> Option<(Kind, T)> {
        let kind = self.first(open)?;
        let (_, waiter) = self.0.of_mut(kind).pop_first()?;
        Some((kind, waiter))
    }

    pub(super) fn len_of(&self, kind: Kind) -> usize {
        self.0.of(kind).len()
    }

    /// The first of the open kinds, in their order, of which any wait.
    pub(super) fn first_of(&self, open: &Open) -> Option<Kind> {
        self.waiting_kinds(open).next()
    }

    /// How many of the open kinds wait.
    pub(super) fn len_of_open(&self, open: &Open) -> usize {
        self.waiting_kinds(open).map(|kind| self.len_of(kind)).sum()
    }

    fn waiting_kinds(&self, open: &Open) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .into_iter()
            .filter(|kind| *open.of(*kind) && self.len_of(*kind) > 0)
    }

    pub(super) fn len(&self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.len_of(kind)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
