//! `[budgets]`, and who spends which.

use std::collections::BTreeMap;

use super::budget::{Budget, DEFAULT_BUDGET};
use super::faults::Problem;
use super::load::Reader;
use super::lookup::nearest;
use super::values;

impl Reader<'_> {
    /// The budgets by name, the default one always among them. What one leaves out is as published, or unlimited where
    /// the upstream is on this machine.
    pub(super) fn budgets(&mut self, is_local: bool) -> Option<BTreeMap<String, Budget>> {
        let otherwise = if is_local {
            Budget::UNLIMITED
        } else {
            Budget::PUBLISHED
        };
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
        let reads_per_minute = limit("reads_per_minute", otherwise.reads_per_minute);
        Some(Budget {
            requests_per_minute: requests_per_minute?,
            concurrent_requests: concurrent_requests?,
            creates_per_minute: creates_per_minute?,
            reads_per_minute: reads_per_minute?,
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
                nearest: nearest(text, &mut names).map(str::to_owned),
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
#[path = "load_budgets_tests.rs"]
mod tests;
