//! The budgets of the settings: those that were there before go on with what they have spent.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::config::{self, Settings};
use crate::quota::{Allowance, Budget, Limits, LiveBudget, WeakBudget};
use crate::telemetry::Metrics;

/// All budgets by name.
pub(super) struct PlannedBudgets {
    by_name: HashMap<String, PlannedBudget>,
    /// Whether they are counted in Redis.
    is_shared: bool,
    /// Those that the settings do not have any more, while requests from before still spend them.
    retiring: Vec<(String, WeakBudget)>,
}

/// A budget, and what it is to be once its settings are in force.
pub(super) struct PlannedBudget {
    live: LiveBudget,
    allowance: Allowance,
    /// The identities of what spends it.
    spenders: BTreeSet<Arc<str>>,
    is_new: bool,
}

impl PlannedBudgets {
    /// The budgets of the settings. Nothing changes of those that are there already, before these are
    /// [put in force](Self::put_in_force).
    pub(super) fn new(settings: &Settings, metrics: &Metrics, before: Option<&Self>) -> Self {
        let find = |name: &str| before.and_then(|before| before.find(name));
        let plan = |(name, limits): (&String, &config::Budget)| {
            let allowance = allowance(limits, &settings.quota);
            let known = find(name);
            let is_new = known.is_none();
            let live =
                known.unwrap_or_else(|| LiveBudget::new(Budget::new(name, allowance, metrics.budget(name))));
            let planned = PlannedBudget {
                live,
                allowance,
                spenders: BTreeSet::new(),
                is_new,
            };
            (name.clone(), planned)
        };
        Self {
            by_name: settings.budgets.iter().map(plan).collect(),
            is_shared: settings.quota.redis.is_some(),
            retiring: before.map_or(Vec::new(), |before| before.left_out_of(settings)),
        }
    }

    /// The one of this name, even where only requests from before still spend it.
    fn find(&self, name: &str) -> Option<LiveBudget> {
        if let Some(planned) = self.by_name.get(name) {
            return Some(planned.live.clone());
        }
        let mut retiring = self.retiring.iter();
        retiring.find(|(retiring, _)| retiring == name)?.1.upgrade()
    }

    fn left_out_of(&self, settings: &Settings) -> Vec<(String, WeakBudget)> {
        let own = self
            .by_name
            .iter()
            .map(|(name, planned)| (name, planned.live.downgrade()));
        let retiring = self.retiring.iter().map(|(name, budget)| (name, budget.clone()));
        own.chain(retiring)
            .filter(|(name, budget)| !settings.budgets.contains_key(*name) && budget.upgrade().is_some())
            .map(|(name, budget)| (name.clone(), budget))
            .collect()
    }

    /// The budget of this name, spent from now on by what has this identity.
    pub(super) fn spend(&mut self, name: &str, identity: &Arc<str>) -> Option<Arc<Budget>> {
        let planned = self.by_name.get_mut(name)?;
        planned.spenders.insert(Arc::clone(identity));
        Some(Arc::clone(planned.live.budget()))
    }

    /// All that are configured.
    pub(super) fn iter(&self) -> impl Iterator<Item = &LiveBudget> {
        self.by_name.values().map(|planned| &planned.live)
    }

    /// From now on the budgets are what the settings say. What was learned of an account is forgotten where
    /// nothing that spent the budget `before` does so now: that is another account.
    pub(super) fn put_in_force(&self, before: &Self) {
        for (name, planned) in &self.by_name {
            let earlier = before.by_name.get(name).map(|earlier| &earlier.spenders);
            let is_another = earlier.is_some_and(|earlier| {
                !earlier.is_empty() && !planned.spenders.is_empty() && earlier.is_disjoint(&planned.spenders)
            });
            planned.live.budget().set_allowance(planned.allowance, is_another);
            let is_changed = before
                .by_name
                .get(name)
                .is_some_and(|earlier| earlier.allowance != planned.allowance);
            if planned.is_new || is_changed {
                planned.tell(name, self.is_shared);
            }
        }
    }

    /// Tells the log what each may let up.
    pub(super) fn tell(&self) {
        for (name, planned) in &self.by_name {
            planned.tell(name, self.is_shared);
        }
    }
}

impl PlannedBudget {
    fn tell(&self, budget: &str, is_shared: bool) {
        let in_words = |limit: Option<u32>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
        let Allowance {
            limits,
            replicas,
            learn,
            ..
        } = self.allowance;
        tracing::info!(
            budget,
            requests_per_minute = in_words(limits.requests),
            concurrent_requests = in_words(limits.concurrent),
            creates_per_minute = in_words(limits.creates),
            writes_per_minute = in_words(limits.writes),
            reads_per_minute = in_words(limits.reads),
            learn,
            replicas,
            counted = if is_shared { "in Redis" } else { "here" },
            "what may go up"
        );
    }
}

/// What one gateway may let up under a budget.
fn allowance(limits: &config::Budget, quota: &config::Quota) -> Allowance {
    let allowed = Limits::from(limits);
    Allowance {
        limits: match quota.redis {
            Some(_) => allowed,
            // Nobody knows what the others do.
            None => allowed.share(quota.replicas),
        },
        replicas: quota.replicas,
        learn: limits.learn,
        span: quota.window,
    }
}
