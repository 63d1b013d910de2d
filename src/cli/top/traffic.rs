use serde::Deserialize;
use std::collections::BTreeMap;

/// What a gateway tells of its traffic, as far as it is shown. What it does not tell, an older or a newer one, counts as
/// nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Traffic {
    pub(super) at: String,
    pub(super) since: String,
    pub(super) requests: Requests,
    pub(super) refusals: Vec<Refusal>,
    pub(super) tenants_seen: u64,
    pub(super) tenants: Vec<Tenant>,
    pub(super) budgets: Vec<Budget>,
    pub(super) slowest: Vec<Slow>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Requests {
    pub(super) total: u64,
    pub(super) in_flight: i64,
    pub(super) per_second_10s: f64,
    pub(super) per_second_60s: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) error: String,
    pub(super) total: u64,
    pub(super) per_second_60s: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tenant {
    pub(super) tenant: String,
    pub(super) requests: u64,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) waiting: u64,
    pub(super) per_second_10s: f64,
    pub(super) refused_per_second_60s: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Budget {
    pub(super) budget: String,
    pub(super) limits: BTreeMap<String, i64>,
    pub(super) learned: BTreeMap<String, i64>,
    pub(super) left: BTreeMap<String, i64>,
    pub(super) in_flight: i64,
    pub(super) queued: i64,
    pub(super) paused: bool,
    pub(super) refused: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Slow {
    pub(super) operation: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) status: u16,
    pub(super) duration_ms: f64,
    pub(super) steps_ms: BTreeMap<String, f64>,
    pub(super) request_id: String,
}

impl Budget {
    /// What is left of each limit, and whether a 429 has taught it: `writes 12/300 (learnt 120)`.
    pub(super) fn limits_in_words(&self) -> String {
        let limit = |(name, limit): (&String, &i64)| {
            let left = self
                .left
                .get(name)
                .map(|left| format!("{left}/"))
                .unwrap_or_default();
            let learnt = self.learned.get(name).filter(|learnt| *learnt != limit);
            let learnt = learnt
                .map(|learnt| format!(" (learnt {learnt})"))
                .unwrap_or_default();
            format!("{name} {left}{limit}{learnt}")
        };
        let limits: Vec<_> = self.limits.iter().map(limit).collect();
        match (self.paused, limits.is_empty()) {
            (true, _) => format!("paused; {}", limits.join(", ")),
            (false, true) => "no limit".to_owned(),
            (false, false) => limits.join(", "),
        }
    }
}

impl Slow {
    /// The step that took the most of it.
    pub(super) fn longest_step(&self) -> &str {
        let longest = self.steps_ms.iter().max_by(|one, other| one.1.total_cmp(other.1));
        longest.map_or("-", |(step, _)| step)
    }
}
