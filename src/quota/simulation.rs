//! A budget on a clock that the test moves, and what has been sent under it.

use std::future::Future;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::budget::{Allowance, Budget};
use super::{BudgetRejection, Kind, Limits, TenantLimits, TenantQuota};
use crate::telemetry::Metrics;
use crate::tenancy::TenantId;

pub(super) const SPAN: Duration = Duration::from_secs(60);

pub(super) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Runs on a clock that stands still while anybody has something to do.
pub(super) fn on_paused_clock<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

/// A budget with its task, and what has been sent under it.
pub(super) struct Simulation {
    pub(super) budget: Arc<Budget>,
    pub(super) sent: Mutex<Vec<Sending>>,
    pub(super) flights: Mutex<Vec<(Instant, Instant, usize)>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) at: Instant,
    pub(super) tenant: usize,
    pub(super) kind: Kind,
    pub(super) is_first: bool,
}

/// What one exchange does with its slot.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) tenant: usize,
    pub(super) limits: TenantLimits,
    pub(super) kinds: Vec<Kind>,
    pub(super) connecting: Duration,
    pub(super) answering: Duration,
    pub(super) patience: Duration,
}

impl Simulation {
    pub(super) fn new(limits: Limits, span: Duration) -> Arc<Self> {
        let metrics = Metrics::new().unwrap().budget("test");
        let allowance = Allowance {
            limits,
            replicas: 1,
            learn: true,
            span,
        };
        let budget = Budget::new("test", allowance, metrics);
        tokio::spawn(Arc::clone(&budget).run());
        Arc::new(Self {
            budget,
            sent: Mutex::default(),
            flights: Mutex::default(),
        })
    }

    pub(super) async fn visit(&self, visit: Visit) -> Result<(), BudgetRejection> {
        let tenant = TenantId(format!("ten_{}", visit.tenant));
        let tenant_quota = TenantQuota {
            tenant: &tenant,
            limits: visit.limits,
        };
        let until = Instant::now() + visit.patience;
        let mut slot = self.budget.enter(&tenant_quota, visit.kinds[0], until).await?;
        let _flight = Flight {
            simulation: self,
            from: Instant::now(),
            tenant: visit.tenant,
        };
        for (index, kind) in visit.kinds.iter().enumerate() {
            let mut token = slot.token(*kind, until).await?;
            sleep(visit.connecting).await;
            token.sent();
            self.sent.lock().push(Sending {
                at: Instant::now(),
                tenant: visit.tenant,
                kind: *kind,
                is_first: index == 0,
            });
            sleep(visit.answering).await;
        }
        Ok(())
    }

    /// That no stretch of time as long as `span` has more than `limit` of them.
    pub(super) fn assert_window(
        &self,
        limit: Option<u32>,
        span: Duration,
        counts: impl Fn(&Sending) -> bool,
    ) {
        let Some(limit) = limit else { return };
        let sent = self.sent.lock();
        let times: Vec<_> = sent
            .iter()
            .filter(|sending| counts(sending))
            .map(|sending| sending.at)
            .collect();
        for (first, one_too_many) in times
            .iter()
            .zip(times.iter().skip(usize::try_from(limit).unwrap()))
        {
            assert!(
                *one_too_many - *first >= span,
                "{} in {:?}",
                limit + 1,
                *one_too_many - *first
            );
        }
    }

    /// That never more than `limit` were in flight at once.
    pub(super) fn assert_concurrent(&self, limit: Option<u32>, counts: impl Fn(usize) -> bool) {
        let Some(limit) = limit else { return };
        let flights = self.flights.lock();
        let mut changes: Vec<_> = flights
            .iter()
            .filter(|(.., tenant)| counts(*tenant))
            .flat_map(|(from, to, _)| [(*from, 1), (*to, -1)])
            .collect();
        changes.sort_unstable();
        let mut in_flight = 0;
        for (_, change) in changes {
            in_flight += change;
            assert!(in_flight <= i64::from(limit), "{in_flight} in flight");
        }
    }

    pub(super) fn assert_left_clean(&self) {
        let (waiting, in_flight, _) = self.budget.occupation();
        assert_eq!((waiting, in_flight), (0, 0));
    }

    pub(super) fn sent_by(&self, tenant: usize) -> usize {
        let sent = self.sent.lock();
        sent.iter().filter(|sending| sending.tenant == tenant).count()
    }
}

pub(super) struct Flight<'a> {
    simulation: &'a Simulation,
    from: Instant,
    pub(super) tenant: usize,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let flight = (self.from, Instant::now(), self.tenant);
        self.simulation.flights.lock().push(flight);
    }
}

pub(super) fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap())
}

pub(super) fn weighing(weight: u16) -> TenantLimits {
    TenantLimits {
        weight: NonZeroU16::new(weight).unwrap(),
        ..TenantLimits::default()
    }
}

pub(super) fn retrieve(tenant: usize, patience: Duration) -> Visit {
    Visit {
        tenant,
        limits: TenantLimits::default(),
        kinds: vec![Kind::Read],
        connecting: Duration::ZERO,
        answering: millis(200),
        patience,
    }
}
