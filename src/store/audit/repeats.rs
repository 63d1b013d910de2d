use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use super::{AuditEntry, AuditOperation};
use crate::environment::EnvironmentId;
use crate::tenancy::{KeyId, TenantId};

/// How long refusals that come again are only counted.
const PERIOD: Duration = Duration::from_secs(60);
/// How many different refusals of one tenant are told apart at a time; about 1 KiB each. Those beyond are
/// told apart by operation and error alone.
const MAX_OF_ONE_TENANT: usize = 256;
/// How many of all tenants.
const MAX_IN_ALL: usize = 16 * 1024;

/// Refusals that come again: the first is for the audit at once, those that follow within a minute become one
/// entry when the minute is over. So a client that asks the same thing for ever fills no disk.
#[derive(Debug, Default)]
pub(super) struct RepeatedRefusals {
    tenants: HashMap<TenantId, HashMap<Refusal, Counted>>,
    count: usize,
}

/// What makes two refusals of one tenant the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Refusal {
    operation: AuditOperation,
    error: Option<&'static str>,
    /// With which key, and of which environment; none where those are not told apart any more.
    target: Option<(KeyId, Option<EnvironmentId>)>,
}

#[derive(Debug)]
struct Counted {
    since: Instant,
    /// The last of those that came after the first; it stands for all of them.
    last: Option<AuditEntry>,
}

/// More different refusals came than are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl RepeatedRefusals {
    /// Takes a refusal in, and gives back what is to be written now: nothing where it was only counted.
    pub(super) fn note(&mut self, entry: AuditEntry, now: Instant) -> Result<Vec<AuditEntry>, Full> {
        let known = self.tenants.entry(entry.tenant.id.clone()).or_default();
        let mut refusal = Refusal::of(&entry);
        if known.len() >= MAX_OF_ONE_TENANT && !known.contains_key(&refusal) {
            refusal.target = None;
        }
        let first = Counted {
            since: now,
            last: None,
        };
        let is_told_apart = refusal.target.is_some();
        let mut known = match known.entry(refusal) {
            Entry::Vacant(_) if self.count >= MAX_IN_ALL => return Err(Full),
            Entry::Vacant(place) => {
                self.count += 1;
                place.insert(first);
                return Ok(vec![entry]);
            }
            Entry::Occupied(known) => known,
        };
        if known.get().is_over(now) {
            let counted = known.insert(first);
            return Ok(counted.last.into_iter().chain([entry]).collect());
        }
        let repeats = known.get().last.as_ref().map_or(0, |last| last.repeats);
        known.get_mut().last = Some(AuditEntry {
            repeats: repeats + entry.repeats,
            environment: entry.environment.filter(|_| is_told_apart),
            ..entry
        });
        Ok(Vec::new())
    }

    /// What was counted in minutes that are over. The next refusal of their kind is a first one again.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<AuditEntry> {
        let mut due = Vec::new();
        self.tenants.retain(|_, known| {
            known.retain(|_, counted| {
                let is_over = counted.is_over(now);
                if is_over {
                    self.count = self.count.saturating_sub(1);
                    due.extend(counted.last.take());
                }
                !is_over
            });
            !known.is_empty()
        });
        due
    }

    /// All that was counted, minutes that are not over included.
    pub(super) fn take_all(&mut self) -> Vec<AuditEntry> {
        self.count = 0;
        let known = self.tenants.drain().flat_map(|(_, known)| known.into_values());
        known.filter_map(|counted| counted.last).collect()
    }
}

impl Refusal {
    fn of(entry: &AuditEntry) -> Self {
        Self {
            operation: entry.operation,
            error: entry.error,
            target: Some((entry.key, entry.environment.clone())),
        }
    }
}

impl Counted {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= PERIOD
    }
}

#[cfg(test)]
mod tests;
