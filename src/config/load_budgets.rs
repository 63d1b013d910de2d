//! `[budgets]`, and who spends which.

use std::collections::BTreeMap;

use super::budget::{Budget, DEFAULT_BUDGET};
use super::errors::Problem;
use super::reader::{Reader, variable};
use super::settings::Quota;
use super::{secrets, values};
use crate::text::nearest_name;

impl Reader<'_> {
    /// The budgets by name, the default one always among them. What one leaves out is as is assumed of the
    /// upstream.
    pub(super) fn budgets(&mut self, otherwise: Budget) -> Option<BTreeMap<String, Budget>> {
        let budgets: Vec<_> = self
            .budget_names()
            .into_iter()
            .map(|name| {
                let budget = self.budget(&format!("budgets.{name}"), otherwise);
                budget.map(|budget| (name, budget))
            })
            .collect();
        budgets.into_iter().collect()
    }

    fn budget(&mut self, table: &str, otherwise: Budget) -> Option<Budget> {
        let mut limit = |key, otherwise| self.read_or(&format!("{table}.{key}"), values::limit, otherwise);
        let requests_per_minute = limit("requests_per_minute", otherwise.requests_per_minute);
        let concurrent_requests = limit("concurrent_requests", otherwise.concurrent_requests);
        let creates_per_minute = limit("creates_per_minute", otherwise.creates_per_minute);
        let writes_per_minute = limit("writes_per_minute", otherwise.writes_per_minute);
        let reads_per_minute = limit("reads_per_minute", otherwise.reads_per_minute);
        let learn = self.read_or(&format!("{table}.learn"), values::boolean, otherwise.learn);
        Some(Budget {
            requests_per_minute: requests_per_minute?,
            concurrent_requests: concurrent_requests?,
            creates_per_minute: creates_per_minute?,
            writes_per_minute: writes_per_minute?,
            reads_per_minute: reads_per_minute?,
            learn: learn?,
        })
    }

    /// Who else spends the budgets. One that Redis does not answer goes by its share, which must not be
    /// nothing.
    pub(super) fn quota(&mut self, budgets: &BTreeMap<String, Budget>) -> Option<Quota> {
        let environment = self.environment;
        let replicas = self.read("quota.replicas", |raw| values::integer(raw, 1..=1000));
        let redis = self.read_optional("quota.redis", |raw| {
            secrets::redis_url(raw, variable("quota.redis"), environment)
        });
        let alone_for = self.read("quota.alone_for", values::duration_or_off);
        let window = self.read("quota.window", values::duration);
        if self.is_set("quota.redis") && !self.is_set("quota.replicas") {
            self.fault("quota.redis", Problem::ReplicasMissing);
        }
        let replicas = u32::try_from(replicas?).ok()?;
        for (name, budget) in budgets {
            for (key, limit) in budget.limits() {
                if limit.is_some_and(|limit| limit < replicas) {
                    let path = format!("budgets.{name}.{key}");
                    let path = if self.is_set(&path) {
                        &path
                    } else {
                        "quota.replicas"
                    };
                    self.fault(path, Problem::NoShare { replicas });
                }
            }
        }
        Some(Quota {
            replicas,
            redis: redis?,
            alone_for: alone_for?,
            window: window?,
        })
    }

    /// The name of a budget that there is.
    pub(super) fn budget_name(&mut self, path: &str) -> Option<String> {
        let known = self.budget_names();
        self.read(path, |raw| {
            let text = values::text(raw)?;
            let mut names = known.iter().map(String::as_str);
            if names.clone().any(|name| name == text) {
                return Ok(text.to_owned());
            }
            Err(Problem::UnknownBudget {
                nearest: nearest_name(text, &mut names).map(str::to_owned),
            })
        })
    }

    fn budget_names(&self) -> Vec<String> {
        let names = self.entries.names_in("budgets");
        let mut names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
        if !names.iter().any(|name| name == DEFAULT_BUDGET) {
            names.push(DEFAULT_BUDGET.to_owned());
        }
        names
    }
}

#[cfg(test)]
mod tests;
