//! What runs for each budget beside the requests that spend it, for as long as any may.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::shutdown::wait_for_stop;
use crate::config::Settings;
use crate::gateway::Gateway;
use crate::quota::{LiveBudget, RedisBudget, RedisBudgetError, WeakBudget};
use crate::upstream::CONNECT_TIMEOUT;

/// What a word from Redis may take, on top of what it allows.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// The tasks of all budgets.
pub(super) struct BudgetTasks {
    /// The budgets that have theirs.
    started: Mutex<Vec<WeakBudget>>,
    /// Those that have to say goodbye to Redis.
    sharing: Mutex<JoinSet<()>>,
    stopped: watch::Receiver<bool>,
}

impl BudgetTasks {
    pub(super) fn new(stopped: watch::Receiver<bool>) -> Self {
        Self {
            started: Mutex::default(),
            sharing: Mutex::default(),
            stopped,
        }
    }

    /// Lets the budgets of the gateway run that do not yet, together with those of other replicas where they
    /// count in Redis. They end with the last request that may spend them.
    pub(super) fn start(&self, gateway: &Gateway, settings: &Settings) -> Result<(), RedisBudgetError> {
        let mut started = self.started.lock();
        started.retain(|started| started.upgrade().is_some());
        let mut sharing = self.sharing.lock();
        // Those that have ended are not kept.
        while sharing.try_join_next().is_some() {}
        let lease = settings.upstream.timeout + ROUND_TRIP;
        let alone = settings.quota.alone_for;
        for live in gateway.budgets() {
            let is_it = |started: &WeakBudget| {
                started
                    .upgrade()
                    .is_some_and(|started| Arc::ptr_eq(started.budget(), live.budget()))
            };
            if started.iter().any(is_it) {
                live.budget().set_patience(lease, alone);
                continue;
            }
            if let Some(redis) = &settings.quota.redis {
                let budget = live.budget();
                let limits = budget.shared_limits(
                    settings.quota.replicas,
                    lease,
                    CONNECT_TIMEOUT + ROUND_TRIP,
                    alone,
                );
                let redis = RedisBudget::new(redis.reveal(), budget.name(), limits)?;
                sharing.spawn(share(&live, redis, self.stopped.clone()));
            }
            tokio::spawn(run(&live));
            started.push(live.downgrade());
        }
        Ok(())
    }

    /// Waits until Redis was told that this replica stops.
    pub(super) async fn join_all(&self) {
        let sharing = std::mem::take(&mut *self.sharing.lock());
        sharing.join_all().await;
    }
}

fn run(live: &LiveBudget) -> impl Future<Output = ()> + use<> {
    let (retired, budget) = (live.retired(), Arc::clone(live.budget()));
    async move {
        tokio::select! {
            () = retired => {}
            () = budget.run() => {}
        }
    }
}

fn share(
    live: &LiveBudget,
    redis: RedisBudget,
    stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<> {
    let (retired, budget) = (live.retired(), Arc::clone(live.budget()));
    let over = async move {
        tokio::select! {
            () = retired => {}
            () = wait_for_stop(stopped) => {}
        }
    };
    budget.share(redis, over)
}
