use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

use crate::contract::{Finding, FindingKind, Operation, ReplyDocument, Sighting};

/// How many findings are kept apart of one operation.
pub(super) const MAX_OF_OPERATION: usize = 256;
/// How many of one crowd: unknown fields of one object, unknown values of one field. So one that floods leaves room for
/// all others.
const MAX_OF_CROWD: usize = 64;
/// How many names that found no room are remembered, to know those again that come in every reply.
const REMEMBERED: usize = 4096;

/// What was found, and how much of it is not in the store yet. Bounded, whatever the upstream sends.
pub(super) struct Findings {
    kept: HashMap<u64, Kept>,
    crowds: HashMap<u64, Vec<u64>>,
    of_operation: HashMap<Operation, usize>,
    /// What found no room, of each operation and document.
    remainders: HashMap<(Operation, ReplyDocument), Kept>,
    /// The rest of a key, and the reply that it was in.
    refused: Box<[(u32, u64)]>,
}

struct Kept {
    id: String,
    finding: Finding,
    first_seen: Timestamp,
    last_seen: Timestamp,
    /// What of its count is not in the store.
    pending: u64,
    /// The first reply that it was in.
    first_reply: u64,
    /// Whether it was in another since.
    recurs: bool,
    /// Whether somebody was told of it.
    is_told: bool,
}

/// What the store does not have of a finding.
#[derive(Clone, Debug)]
pub struct PendingFinding {
    /// Its name.
    pub id: String,
    /// The finding.
    pub finding: Finding,
    /// When it was first seen here.
    pub first_seen: Timestamp,
    /// When it was last seen here.
    pub last_seen: Timestamp,
    /// How often it was since the store was last told.
    pub count: u64,
}

impl Findings {
    pub(super) fn new() -> Self {
        Self {
            kept: HashMap::new(),
            crowds: HashMap::new(),
            of_operation: HashMap::new(),
            remainders: HashMap::new(),
            refused: vec![(0, 0); REMEMBERED].into(),
        }
    }

    /// Takes in what was met in a reply; `reply` is another number for each. Gives back by which key it is counted; none
    /// where there is no room.
    pub(super) fn note(&mut self, sighting: &Sighting<'_>, reply: u64, now: Timestamp) -> Option<u64> {
        let key = sighting.key();
        if let Some(kept) = self.kept.get_mut(&key) {
            kept.recurs |= kept.first_reply != reply;
            return Some(key);
        }
        let crowd = sighting.crowd();
        let crowd_len = self.crowds.get(&crowd).map_or(0, Vec::len);
        let operation = sighting.operation();
        let of_operation = self.of_operation.get(&operation).copied().unwrap_or_default();
        let is_full = crowd_len >= MAX_OF_CROWD || of_operation >= MAX_OF_OPERATION;
        if is_full {
            // Names that came once give way to one that comes again.
            if !self.was_refused(key, reply) || !self.give_way(crowd) {
                return None;
            }
        } else {
            self.of_operation.insert(operation, of_operation + 1);
        }
        self.crowds.entry(crowd).or_default().push(key);
        let kept = Kept {
            recurs: is_full,
            ..Kept::new(sighting.to_finding(), reply, now)
        };
        self.kept.insert(key, kept);
        Some(key)
    }

    /// Whether there was no room for it in an earlier reply either.
    fn was_refused(&mut self, key: u64, reply: u64) -> bool {
        let place = usize::try_from(key).unwrap_or_default() % REMEMBERED;
        let rest = u32::try_from(key >> 32).unwrap_or_default();
        let Some(refused) = self.refused.get_mut(place) else {
            return false;
        };
        let (known, in_reply) = std::mem::replace(refused, (rest, reply));
        known == rest && in_reply != reply && in_reply != 0
    }

    /// Forgets one of a crowd that was in one reply only.
    fn give_way(&mut self, crowd: u64) -> bool {
        let Some(keys) = self.crowds.get_mut(&crowd) else {
            return false;
        };
        let kept = &mut self.kept;
        let once = keys
            .iter()
            .position(|key| kept.get(key).is_some_and(|kept| !kept.recurs));
        let Some(once) = once else { return false };
        kept.remove(&keys.remove(once));
        true
    }

    /// Counts a finding that was seen again. Where it was forgotten meanwhile, it belongs to the remainder.
    pub(super) fn count(&mut self, key: u64, times: u64, now: Timestamp, is_again: bool) -> bool {
        let Some(kept) = self.kept.get_mut(&key) else {
            return false;
        };
        kept.count(times, now);
        kept.recurs |= is_again;
        true
    }

    /// Counts what found no room.
    pub(super) fn count_remainder(
        &mut self,
        operation: Operation,
        document: ReplyDocument,
        times: u64,
        now: Timestamp,
    ) {
        if times == 0 {
            return;
        }
        let new = || Kept::new(Finding::remainder(operation, document), 0, now);
        let remainder = self.remainders.entry((operation, document)).or_insert_with(new);
        remainder.count(times, now);
    }

    /// Counts a write that the upstream has refused although it keeps its schema. There are no more places than schemas
    /// have.
    pub(super) fn count_refusal(&mut self, finding: Finding, now: Timestamp) {
        let mut hasher = DefaultHasher::new();
        (finding.operation, finding.kind, &finding.pointer).hash(&mut hasher);
        let (key, operation) = (hasher.finish(), finding.operation);
        if !self.kept.contains_key(&key) {
            let of_operation = self.of_operation.entry(operation).or_default();
            if *of_operation >= MAX_OF_OPERATION {
                return self.count_remainder(operation, finding.document, 1, now);
            }
            *of_operation += 1;
            self.kept.insert(key, Kept::new(finding, 0, now));
        }
        self.count(key, 1, now, true);
    }

    /// What the store does not have.
    pub(super) fn pending(&self) -> Vec<PendingFinding> {
        let pending = self.all().filter(|kept| kept.pending > 0);
        pending
            .map(|kept| PendingFinding {
                id: kept.id.clone(),
                finding: kept.finding.clone(),
                first_seen: kept.first_seen,
                last_seen: kept.last_seen,
                count: kept.pending,
            })
            .collect()
    }

    /// The store has these by now.
    pub(super) fn settle(&mut self, written: &[PendingFinding]) {
        let counts: HashMap<_, _> = written.iter().map(|one| (one.id.as_str(), one.count)).collect();
        for kept in self.all_mut() {
            if let Some(count) = counts.get(kept.id.as_str()) {
                kept.pending = kept.pending.saturating_sub(*count);
            }
        }
    }

    /// Those of `ids` that nobody was told of, as sentences with what they are about; they have been from now on.
    pub(super) fn take_untold(&mut self, is_meant: impl Fn(&str) -> bool) -> Vec<Finding> {
        let untold = self.all_mut().filter(|kept| !kept.is_told && is_meant(&kept.id));
        untold
            .map(|kept| {
                kept.is_told = true;
                kept.finding.clone()
            })
            .collect()
    }

    fn all(&self) -> impl Iterator<Item = &Kept> {
        self.kept.values().chain(self.remainders.values())
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Kept> {
        self.kept.values_mut().chain(self.remainders.values_mut())
    }
}

impl Kept {
    fn new(finding: Finding, first_reply: u64, now: Timestamp) -> Self {
        Self {
            id: finding.id(),
            finding,
            first_seen: now,
            last_seen: now,
            pending: 0,
            first_reply,
            recurs: false,
            is_told: false,
        }
    }

    fn count(&mut self, times: u64, now: Timestamp) {
        // Where a count stops, it is a large one.
        self.pending = self.pending.saturating_add(times).min(PendingFinding::MAX_COUNT);
        self.last_seen = now.max(self.last_seen);
    }
}

impl PendingFinding {
    /// Where a count stops.
    pub const MAX_COUNT: u64 = 1_000_000_000_000;
    /// Where that of a remainder does.
    pub const MAX_REMAINDER: u64 = 1_000_000;

    /// Where its count stops.
    #[must_use]
    pub fn max_count(&self) -> u64 {
        match self.finding.kind {
            FindingKind::Remainder => Self::MAX_REMAINDER,
            _ => Self::MAX_COUNT,
        }
    }
}
