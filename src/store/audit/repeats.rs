use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::{SignedDuration, Timestamp};

use super::{AuditEntry, AuditOperation};
use crate::environment::EnvironmentId;
use crate::tenancy::{KeyId, TenantId};

/// How long refusals that come again are only counted.
const PERIOD: SignedDuration = SignedDuration::from_secs(60);
/// How many different refusals are told apart at a time; about 1 KiB each.
const MOST_REFUSALS: usize = 4096;

/// Refusals that come again: the first is for the audit at once, those that follow within a minute become one
/// entry when the minute is over. So a client that asks the same thing for ever fills no disk.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Refusal, Counted>);

/// What makes two refusals the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Refusal {
    tenant: TenantId,
    key: KeyId,
    operation: AuditOperation,
    environment: Option<EnvironmentId>,
    error: Option<&'static str>,
}

#[derive(Debug)]
struct Counted {
    since: Timestamp,
    /// The last of those that came after the first; it stands for all of them.
    last: Option<AuditEntry>,
}

/// More different refusals came than are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Repeats {
    /// Takes a refusal in, and gives back what is to be written now: nothing where it was only counted.
    pub(super) fn note(&mut self, entry: AuditEntry) -> Result<Vec<AuditEntry>, Full> {
        let is_full = self.0.len() >= MOST_REFUSALS;
        let first = Counted {
            since: entry.at,
            last: None,
        };
        let mut known = match self.0.entry(Refusal::of(&entry)) {
            Entry::Vacant(_) if is_full => return Err(Full),
            Entry::Vacant(place) => {
                place.insert(first);
                return Ok(vec![entry]);
            }
            Entry::Occupied(known) => known,
        };
        if known.get().is_over(entry.at) {
            let counted = known.insert(first);
            return Ok(counted.last.into_iter().chain([entry]).collect());
        }
        let repeats = known.get().last.as_ref().map_or(0, |last| last.repeats);
        known.get_mut().last = Some(AuditEntry {
            repeats: repeats + entry.repeats,
            ..entry
        });
        Ok(Vec::new())
    }

    /// What was counted in minutes that are over, `most` at a time; the next refusal of their kind is a first
    /// one again.
    pub(super) fn take_due(&mut self, now: Timestamp, most: usize) -> Vec<AuditEntry> {
        let mut due = Vec::new();
        self.0.retain(|_, counted| {
            let stays = !counted.is_over(now) || due.len() >= most;
            if !stays {
                due.extend(counted.last.take());
            }
            stays
        });
        due
    }

    /// All that was counted, minutes that are not over included.
    pub(super) fn take_all(&mut self) -> Vec<AuditEntry> {
        self.0.drain().filter_map(|(_, counted)| counted.last).collect()
    }
}

impl Refusal {
    fn of(entry: &AuditEntry) -> Self {
        Self {
            tenant: entry.tenant.id.clone(),
            key: entry.key,
            operation: entry.operation,
            environment: entry.environment.clone(),
            error: entry.error,
        }
    }
}

impl Counted {
    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.since) >= PERIOD
    }
}

#[cfg(test)]
mod tests;
