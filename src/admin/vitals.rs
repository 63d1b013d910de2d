use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::config::{CurrentSettings, Settings};
use crate::gateway::Readiness;
use crate::store::StoreHealth;
use crate::telemetry::{BudgetSharing, Metrics};
use crate::tenancy::{Directory, SharedCredentials};

/// What tells whether requests should be sent here.
#[derive(Clone)]
pub struct Vitals {
    /// What the budgets do.
    pub metrics: Arc<Metrics>,
    /// Tenants and keys; not ready before they were read once.
    pub directory: Arc<Directory>,
    /// The plans, the budgets, and whether environments are stamped.
    pub settings: CurrentSettings,
    /// How the store does, before it is open too.
    pub store_health: Arc<StoreHealth>,
    /// Set when the process begins to stop, so that a balancer sends nothing new.
    pub is_stopping: Arc<AtomicBool>,
}

impl Vitals {
    /// Whether requests should be sent here, and more than a word where there is more to say. A store that is
    /// away later does not count, because requests go on from memory; it is told all the same.
    #[must_use]
    pub fn readiness(&self) -> (Readiness, String) {
        let not_ready = |word, why| {
            (
                Readiness {
                    is_ready: false,
                    word,
                },
                why,
            )
        };
        let ready = |word, why| (Readiness { is_ready: true, word }, why);
        if self.is_stopping.load(Ordering::Relaxed) {
            return not_ready("stopping", String::new());
        }
        if !self.directory.is_loaded() {
            let problem = self.store_health.problem();
            let why = problem.map_or(String::new(), |problem| format!(": {problem}"));
            return not_ready("waiting", format!("waiting for the store{why}"));
        }
        let settings = &*self.settings.load();
        if SharedCredentials::find(settings, &self.directory).leave_nobody() {
            let why =
                "not ready: ownership.stamp is off and tenants share a credential, so nobody can be served";
            return not_ready("unready", why.to_owned());
        }
        if is_stopped(self, settings) {
            return not_ready("unready", budget_trouble(self, settings).unwrap_or_default());
        }
        match trouble(self, settings) {
            Some(trouble) => ready("degraded", format!("degraded: {trouble}")),
            None => ready("ready", String::new()),
        }
    }

    /// Waits until requests should be sent here, or never will be.
    pub async fn ready(&self) {
        while !self.readiness().0.is_ready && !self.is_stopping.load(Ordering::Relaxed) {
            sleep(LOOK).await;
        }
    }
}

/// How often it is looked whether requests can be answered by now.
const LOOK: Duration = Duration::from_millis(20);

/// What is not as it should be although most requests can be answered.
fn trouble(vitals: &Vitals, settings: &Settings) -> Option<String> {
    if let Some(problem) = vitals.store_health.problem() {
        return Some(format!("{problem}, known keys go on"));
    }
    if let Some(trouble) = budget_trouble(vitals, settings) {
        return Some(trouble);
    }
    match SharedCredentials::find(settings, &vitals.directory).count() {
        0 => {}
        count => {
            return Some(format!(
                "ownership.stamp is off and {count} tenants share a credential"
            ));
        }
    }
    let is_configured = |plan: &str| settings.plans.contains_key(plan);
    match vitals.directory.count_outside(is_configured) {
        0 => None,
        1 => Some("1 tenant is on a plan that is not configured".to_owned()),
        count => Some(format!("{count} tenants are on plans that are not configured")),
    }
}

/// What is wrong with a budget that replicas share, the worst first.
fn budget_trouble(vitals: &Vitals, settings: &Settings) -> Option<String> {
    let expected = settings.quota.replicas;
    let budgets = || sharing_of_budgets(vitals, settings);
    let stopped = budgets().find(|(_, sharing)| sharing.is_stopped);
    let cut_off = || budgets().find(|(_, sharing)| sharing.is_cut_off);
    let surplus = || budgets().find(|(_, sharing)| sharing.replicas > i64::from(expected));
    let seatless = || budgets().find(|(_, sharing)| !sharing.has_seat);
    Some(if let Some((budget, _)) = stopped {
        format!(
            "nothing goes up: Redis does not answer, and this replica may spend nothing of the budget {budget} alone"
        )
    } else if let Some((budget, _)) = cut_off() {
        format!("Redis does not answer, the budget {budget} goes by this replica's share")
    } else if let Some((budget, sharing)) = surplus() {
        let replicas = sharing.replicas;
        format!("{replicas} replicas spend the budget {budget}, quota.replicas is {expected}")
    } else if let Some((budget, _)) = seatless() {
        format!("no seat in the budget {budget} is free, without Redis this replica would send nothing")
    } else {
        return None;
    })
}

/// Whether no request can go up here that spends some budget.
fn is_stopped(vitals: &Vitals, settings: &Settings) -> bool {
    sharing_of_budgets(vitals, settings).any(|(_, sharing)| sharing.is_stopped)
}

fn sharing_of_budgets<'a>(
    vitals: &'a Vitals,
    settings: &'a Settings,
) -> impl Iterator<Item = (&'a String, BudgetSharing)> {
    let budgets = settings.budgets.keys();
    budgets.map(|budget| (budget, vitals.metrics.budget_sharing(budget)))
}
