use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::budget::Budget;

/// A budget for as long as anybody may spend it. Clones share it; once the last is dropped, its tasks are to end.
#[derive(Clone, Debug)]
pub struct LiveBudget {
    budget: Arc<Budget>,
    /// Dropped with the last clone, which whoever waits for that hears of.
    users: Arc<watch::Sender<()>>,
}

/// A budget that may have been dropped meanwhile.
#[derive(Clone, Debug)]
pub struct WeakBudget {
    budget: Weak<Budget>,
    users: Weak<watch::Sender<()>>,
}

impl LiveBudget {
    /// One that is spent from now on.
    #[must_use]
    pub fn new(budget: Arc<Budget>) -> Self {
        Self {
            budget,
            users: Arc::new(watch::Sender::new(())),
        }
    }

    /// The budget itself.
    #[must_use]
    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Done once nobody can spend it any more. It does not keep it alive.
    pub fn retired(&self) -> impl Future<Output = ()> + use<> {
        let mut users = self.users.subscribe();
        // Nothing is ever sent: an error means that the last user is gone.
        async move { while users.changed().await.is_ok() {} }
    }

    /// The same, without keeping it.
    #[must_use]
    pub fn downgrade(&self) -> WeakBudget {
        WeakBudget {
            budget: Arc::downgrade(&self.budget),
            users: Arc::downgrade(&self.users),
        }
    }
}

impl WeakBudget {
    /// The budget, where somebody may still spend it.
    #[must_use]
    pub fn upgrade(&self) -> Option<LiveBudget> {
        Some(LiveBudget {
            users: self.users.upgrade()?,
            budget: self.budget.upgrade()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;
    use crate::quota::{Allowance, Limits};
    use crate::telemetry::Metrics;

    #[test]
    fn it_is_retired_with_its_last_user_and_its_metrics_go_with_it() {
        let metrics = Metrics::new().unwrap();
        let allowance = Allowance {
            limits: Limits::default(),
            replicas: 1,
            learn: true,
            span: std::time::Duration::from_secs(60),
        };
        let first = LiveBudget::new(Budget::new("gone", allowance, metrics.budget("gone")));
        let (weak, mut retired) = (first.downgrade(), pin!(first.retired()));
        let second = weak.upgrade().unwrap();
        drop(first);
        assert!(retired.as_mut().now_or_never().is_none());
        drop(second);
        assert!(retired.now_or_never().is_some());
        assert!(weak.upgrade().is_none());
        let told = String::from_utf8(metrics.encode().unwrap()).unwrap();
        assert!(!told.contains("gone"), "{told}");
    }
}
