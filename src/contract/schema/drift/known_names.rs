//! What the names of members stand for, wherever in a reply they are.

use super::hash::hash_bytes;
use crate::contract::schema::shape::{Others, Shape};

/// What a fingerprint takes in of the value behind a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NameClass {
    /// Whether any schema knows the name. What stands behind another cannot matter to a schema.
    pub(super) is_known: bool,
    /// Whether the text itself matters: a schema counts up what it may be.
    pub(super) is_compared: bool,
    /// Whether the form of the text matters: a schema has a rule for it.
    pub(super) is_formed: bool,
    /// Whether the names in the object matter: a schema says which there are.
    pub(super) has_members: bool,
    /// Whether the names in the object are anybody's: a schema says what stands behind them all.
    pub(super) is_map: bool,
}

impl NameClass {
    /// Of all that has this shape, or is an element of it.
    pub(super) fn of(shape: &Shape) -> Self {
        let mut class = Self {
            is_known: true,
            is_compared: shape.options.is_some(),
            is_formed: shape.pattern.is_some() || shape.min_length.is_some() || shape.max_length.is_some(),
            has_members: !shape.members.is_empty() || matches!(shape.others, Others::Closed),
            is_map: matches!(shape.others, Others::Each(_)),
        };
        if let Some(items) = &shape.items {
            class.add(Self::of(items));
        }
        if let Others::Each(each) = &shape.others {
            class.add(Self::of(each));
        }
        for case in &shape.cases {
            class.add(Self::of(&case.then));
        }
        class
    }

    /// Takes in all that matters to either.
    fn add(&mut self, other: Self) {
        self.is_known |= other.is_known;
        self.is_compared |= other.is_compared;
        self.is_formed |= other.is_formed;
        self.has_members |= other.has_members;
        self.is_map |= other.is_map;
    }
}

/// All names that schemas know, found by the number of a name.
#[derive(Debug)]
pub(super) struct KnownNames {
    /// A power of two of them, at most half of them taken; 0 is no name's number.
    slots: Box<[(u64, NameClass)]>,
}

impl KnownNames {
    pub(super) fn of<'s>(shapes: impl IntoIterator<Item = &'s Shape>) -> Self {
        let mut known = Vec::new();
        for shape in shapes {
            collect(shape, &mut known);
        }
        let mut names = Self {
            slots: vec![(0, NameClass::default()); (known.len() * 2).next_power_of_two()].into(),
        };
        for (hash, class) in known {
            let mut place = names.first_place(hash);
            while names.slots.get(place).is_some_and(|(taken, _)| *taken != 0) {
                place = names.place_after(place);
            }
            if let Some(slot) = names.slots.get_mut(place) {
                *slot = (hash, class);
            }
        }
        names
    }

    /// The number of a name, and what it stands for.
    #[inline]
    pub(super) fn look_up(&self, name: &[u8]) -> (u64, NameClass) {
        let hash = hash_bytes(name).max(1);
        let mut place = self.first_place(hash);
        // At least half of the places are free.
        loop {
            match self.slots.get(place) {
                Some((known, class)) if *known == hash => return (hash, *class),
                Some((0, _)) | None => return (hash, NameClass::default()),
                Some(_) => place = self.place_after(place),
            }
        }
    }

    /// Where a number stands, if no other stands there.
    #[inline]
    fn first_place(&self, hash: u64) -> usize {
        usize::try_from(hash >> 32).unwrap_or_default() & (self.slots.len() - 1)
    }

    const fn place_after(&self, place: usize) -> usize {
        (place + 1) & (self.slots.len() - 1)
    }
}

fn collect(shape: &Shape, known: &mut Vec<(u64, NameClass)>) {
    for (name, member) in &shape.members {
        let hash = hash_bytes(name.as_bytes()).max(1);
        let class = NameClass::of(member);
        match known.iter_mut().find(|(known, _)| *known == hash) {
            Some((_, before)) => before.add(class),
            None => known.push((hash, class)),
        }
        collect(member, known);
    }
    if let Some(items) = &shape.items {
        collect(items, known);
    }
    if let Others::Each(each) = &shape.others {
        collect(each, known);
    }
    for case in &shape.cases {
        collect(&case.then, known);
    }
}
