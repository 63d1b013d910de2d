use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A fingerprint may stand in as many slots.
const WAYS: usize = 8;
const SETS: usize = 256;

/// The fingerprints that were seen before, and of those that are counted how often since somebody last looked. Those who
/// look up and count take no lock and allocate nothing; one at a time takes in new ones, each in the place of one that was
/// not seen for longest. So there are never more than there are slots, whatever the upstream sends.
pub(super) struct KnownShapes {
    slots: Box<[Slot]>,
}

#[derive(Default)]
struct Slot {
    /// 0 where it is free.
    shape: AtomicU64,
    seen: AtomicU64,
    /// When it was last seen, in looks.
    last_look: AtomicU64,
    /// Whether anybody wants to know how often. Of others it is only told that they were seen, so that threads that see the
    /// same write nothing as a rule.
    is_counted: AtomicBool,
}

/// What was forgotten for another, and how often it had been seen since the last look.
pub(super) struct Forgotten {
    pub(super) shape: u64,
    pub(super) seen: u64,
}

impl KnownShapes {
    /// How many there are at most.
    #[cfg(test)]
    pub(super) const MAX: usize = WAYS * SETS;

    pub(super) fn new() -> Self {
        let slots = std::iter::repeat_with(Slot::default).take(WAYS * SETS);
        Self {
            slots: slots.collect(),
        }
    }

    /// The slot of a fingerprint, if it is known.
    #[inline]
    pub(super) fn find(&self, shape: u64) -> Option<usize> {
        let first = first_slot(shape);
        let set = self.slots.get(first..first + WAYS)?;
        let is_it = |slot: &Slot| slot.shape.load(Ordering::Relaxed) == shape;
        set.iter().position(is_it).map(|way| first + way)
    }

    /// Counts what stands in a slot, as far as anybody wants to know.
    #[inline]
    pub(super) fn count(&self, slot: usize, times: u64) {
        let Some(slot) = self.slots.get(slot) else { return };
        if slot.is_counted.load(Ordering::Relaxed) {
            slot.seen.fetch_add(times, Ordering::Relaxed);
        } else if slot.seen.load(Ordering::Relaxed) == 0 {
            slot.seen.fetch_max(1, Ordering::Relaxed);
        }
    }

    /// Takes a new fingerprint in at a look, and counts it if anybody `is_counted`; whom that costs its place, if anybody.
    pub(super) fn insert(&self, shape: u64, look: u64, is_counted: bool) -> Option<Forgotten> {
        let first = first_slot(shape);
        let set = self.slots.get(first..first + WAYS)?;
        let age = |slot: &&Slot| match slot.shape.load(Ordering::Relaxed) {
            0 => (0, 0),
            _ => (
                slot.last_look.load(Ordering::Relaxed),
                slot.seen.load(Ordering::Relaxed),
            ),
        };
        let slot = set.iter().min_by_key(age)?;
        slot.is_counted.store(is_counted, Ordering::Relaxed);
        let before = slot.shape.swap(shape, Ordering::Relaxed);
        let seen = slot.seen.swap(0, Ordering::Relaxed);
        slot.last_look.store(look, Ordering::Relaxed);
        (before != 0).then_some(Forgotten { shape: before, seen })
    }

    /// Forgets a fingerprint; what was counted since the last look is lost.
    pub(super) fn remove(&self, shape: u64) {
        if let Some(slot) = self.find(shape).and_then(|slot| self.slots.get(slot)) {
            slot.shape.store(0, Ordering::Relaxed);
            slot.seen.store(0, Ordering::Relaxed);
        }
    }

    /// Tells which were seen since the last look, and how often each that is counted.
    pub(super) fn take_counts(&self, look: u64, mut tell: impl FnMut(u64, u64)) {
        for slot in &self.slots {
            if slot.seen.load(Ordering::Relaxed) > 0 {
                let seen = slot.seen.swap(0, Ordering::Relaxed);
                slot.last_look.store(look, Ordering::Relaxed);
                tell(slot.shape.load(Ordering::Relaxed), seen);
            }
        }
    }
}

fn first_slot(shape: u64) -> usize {
    // Fingerprints are as good as random in every bit.
    let set = usize::try_from(shape >> 8).unwrap_or_default() % SETS;
    set * WAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_often_stays_whatever_else_comes() {
        let known = KnownShapes::new();
        let shape = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 2;
        assert!(known.insert(shape(0), 0, false).is_none());
        for look in 1..20_000 {
            let slot = known.find(shape(0)).unwrap();
            known.count(slot, 1);
            known.insert(shape(look), look, true);
            known.take_counts(look, |_, _| {});
        }
        let left = (0..20_000).filter(|number| known.find(shape(*number)).is_some());
        assert!(left.count() <= KnownShapes::MAX);
    }

    #[test]
    fn a_count_is_told_once() {
        let known = KnownShapes::new();
        known.insert(4, 1, true);
        known.insert(5, 1, false);
        for shape in [4, 5] {
            let slot = known.find(shape).unwrap();
            known.count(slot, 1);
            known.count(slot, 2);
        }
        let mut told = Vec::new();
        known.take_counts(2, |shape, seen| told.push((shape, seen)));
        known.take_counts(3, |shape, seen| told.push((shape, seen)));
        assert_eq!(
            told,
            [(4, 3), (5, 1)],
            "nobody wants to know how often the other was seen"
        );
        assert!(known.find(6).is_none());
    }
}
