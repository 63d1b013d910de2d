//! Budgets as several processes would have them, each with a runtime of its own.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use envgate::quota::{
    Allowance, Budget, BudgetRejection, Kind, Limits, RedisBudget, SharedLimits, TenantLimits, TenantQuota,
};
use envgate::telemetry::Metrics;
use envgate::tenancy::TenantId;
use parking_lot::Mutex;
use prometheus::{IntCounter, IntGauge};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::drive_time;
use crate::common::envgate::{eventually, pause};
use envgate_test_servers::redis::Redis;

/// A short window stands for the minute.
pub(super) const SPAN: Duration = Duration::from_secs(1);
/// Between the token of a request and the note that it was sent, where the machine has other things to do.
const ON_THE_WAY: Duration = Duration::from_millis(100);
/// Long enough for every exchange here, on a busy machine too.
pub(super) const LEASE: Duration = Duration::from_millis(1500);
/// Longer than anything here is cut off.
const ALONE: Duration = Duration::from_secs(10);
pub(super) const LIMIT: u32 = 12;
const SLOTS: u32 = 5;

fn shared_limits() -> SharedLimits {
    SharedLimits {
        limits: Limits {
            requests: Some(LIMIT),
            concurrent: Some(SLOTS),
            ..Limits::default()
        },
        replicas: 2,
        span: SPAN,
        lease: LEASE,
        hold: Duration::from_millis(500),
        learn: true,
        alone: ALONE,
    }
}

/// What the upstream sees of all replicas.
#[derive(Default)]
pub(super) struct Upstream {
    sent: Mutex<Vec<Instant>>,
    in_flight: AtomicU32,
    most_in_flight: AtomicU32,
}

impl Upstream {
    pub(super) fn count(&self) -> usize {
        self.sent.lock().len()
    }

    /// That no stretch of time as long as the window has more requests than the limit, and that the slots were enough.
    pub(super) fn assert_bound(&self) {
        let mut sent = self.sent.lock().clone();
        sent.sort_unstable();
        let limit = usize::try_from(LIMIT).unwrap();
        let within = |first: &Instant| {
            sent.partition_point(|at| *at < *first + SPAN) - sent.partition_point(|at| at < first)
        };
        let most = sent.iter().map(within).max().unwrap_or_default();
        println!("at most {most} of {limit} in any window, {} in all", sent.len());
        for (first, one_too_many) in sent.iter().zip(sent.iter().skip(limit)) {
            let stretch = *one_too_many - *first;
            assert!(
                stretch + ON_THE_WAY >= SPAN,
                "{} requests in {stretch:?}",
                limit + 1
            );
        }
        let most = self.most_in_flight.load(Ordering::SeqCst);
        assert!(most <= SLOTS, "{most} in flight");
    }
}

struct InFlight(Arc<Upstream>);

impl InFlight {
    fn enter(upstream: &Arc<Upstream>) -> Self {
        let in_flight = upstream.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        upstream.most_in_flight.fetch_max(in_flight, Ordering::SeqCst);
        Self(Arc::clone(upstream))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A replica with a runtime of its own, so that it can die at once with all that it is about.
pub(super) struct Replica {
    runtime: Runtime,
    budget: Arc<Budget>,
    admitted: IntCounter,
    has_seat: IntGauge,
    stop: Option<oneshot::Sender<()>>,
    sharing: Option<JoinHandle<()>>,
}

impl Replica {
    pub(super) fn start(url: &str) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let metrics = Metrics::new().unwrap().budget("test");
        let (admitted, has_seat) = (metrics.admitted.clone(), metrics.has_seat.clone());
        has_seat.set(0);
        let allowance = Allowance {
            limits: shared_limits().limits,
            replicas: 2,
            learn: true,
            span: SPAN,
        };
        let budget = Budget::new("test", allowance, metrics);
        let redis = RedisBudget::new(url, "test", shared_limits()).unwrap();
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(Arc::clone(&budget).run());
        let sharing = runtime.spawn(Arc::clone(&budget).share(redis, async {
            let _ = stopped.await;
        }));
        Self {
            runtime,
            budget,
            admitted,
            has_seat,
            stop: Some(stop),
            sharing: Some(sharing),
        }
    }

    /// How many exchanges have had their turn.
    pub(super) fn admitted(&self) -> u64 {
        self.admitted.get()
    }

    /// Waits until it may go on without Redis.
    pub(super) fn await_seat(&self) {
        eventually("it has a seat", || self.has_seat.get() == 1);
    }

    /// Clients that ask without end.
    pub(super) fn drive(&self, clients: usize, upstream: &Arc<Upstream>) {
        for client in 0..clients {
            let (budget, upstream) = (Arc::clone(&self.budget), Arc::clone(upstream));
            self.runtime.spawn(async move {
                let tenant = TenantId(format!("tenant {}", client % 3));
                for round in 0_u64.. {
                    let answering =
                        Duration::from_millis((round * 37 + u64::try_from(client).unwrap() * 13) % 90);
                    let visited = visit(&budget, &tenant, &upstream, answering).await;
                    if visited.is_err() {
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            });
        }
    }

    /// Dies as a process does.
    pub(super) fn kill(self) {
        self.runtime.shutdown_background();
    }

    pub(super) fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        let sharing = self.sharing.take().unwrap();
        self.runtime.block_on(sharing).unwrap();
        self.runtime.shutdown_background();
    }
}

/// One exchange, now and then with a second request.
async fn visit(
    budget: &Arc<Budget>,
    tenant: &TenantId,
    upstream: &Arc<Upstream>,
    answering: Duration,
) -> Result<(), BudgetRejection> {
    let tenant_quota = TenantQuota {
        tenant,
        limits: TenantLimits::default(),
    };
    let until = Instant::now() + Duration::from_millis(300);
    let mut slot = budget.enter(&tenant_quota, Kind::Read, until).await?;
    let _in_flight = InFlight::enter(upstream);
    let kinds = if answering.as_millis().is_multiple_of(4) {
        [Kind::Read, Kind::OtherWrite].as_slice()
    } else {
        [Kind::Read].as_slice()
    };
    for kind in kinds {
        let mut token = slot.token(*kind, until).await?;
        token.sent();
        upstream.sent.lock().push(Instant::now());
        sleep(answering).await;
    }
    Ok(())
}

async fn served_within(upstream: &Upstream, patience: Duration) {
    let before = upstream.count();
    let served = timeout(patience, async {
        while upstream.count() == before {
            sleep(Duration::from_millis(10)).await;
        }
    });
    served.await.expect("no request goes up any more");
}

#[test]
fn two_replicas_together_use_all_of_the_budget_and_no_more() {
    let redis = Redis::start();
    let upstream = Arc::new(Upstream::default());
    let replicas = [Replica::start(&redis.url()), Replica::start(&redis.url())];
    replicas.iter().for_each(|replica| replica.drive(20, &upstream));
    pause(drive_time());
    replicas.into_iter().for_each(Replica::kill);
    upstream.assert_bound();
    let windows = drive_time().as_millis() / SPAN.as_millis();
    let all = usize::try_from(LIMIT).unwrap() * usize::try_from(windows).unwrap();
    assert!(
        upstream.count() * 10 >= all * 7,
        "only {} of {all}",
        upstream.count()
    );
}

#[test]
fn the_bound_holds_and_service_returns_whatever_dies() {
    let mut redis = Redis::start();
    let upstream = Arc::new(Upstream::default());
    let patience = SPAN + LEASE + Duration::from_secs(3);
    let waits = Builder::new_current_thread().enable_all().build().unwrap();
    let drive = |replica: &Replica| replica.drive(20, &upstream);

    let (one, two) = (Replica::start(&redis.url()), Replica::start(&redis.url()));
    drive(&one);
    drive(&two);
    let rounds = drive_time().as_secs().div_ceil(4);
    let mut two = two;
    for _ in 0..rounds {
        pause(SPAN * 2);
        two.kill();
        waits.block_on(served_within(&upstream, patience));
        two = Replica::start(&redis.url());
        drive(&two);
        pause(SPAN);
        redis.kill();
        // Without Redis first nobody, then each its share.
        pause(Duration::from_millis(200));
        waits.block_on(served_within(&upstream, patience));
        pause(SPAN);
        redis.start_again();
        waits.block_on(served_within(&upstream, patience));
        pause(SPAN);
        // Killed and back before anybody notices much, and empty.
        redis.kill();
        redis.start_again();
        waits.block_on(served_within(&upstream, patience));
    }
    one.kill();
    two.kill();
    upstream.assert_bound();
}

#[test]
fn a_replica_that_parts_leaves_its_share_to_the_others() {
    let redis = Redis::start();
    let upstream = Arc::new(Upstream::default());
    let (one, two) = (Replica::start(&redis.url()), Replica::start(&redis.url()));
    pause(SPAN);
    two.stop();
    one.drive(20, &upstream);
    pause(SPAN * 4);
    one.kill();
    upstream.assert_bound();
    let more_than_its_share = usize::try_from(LIMIT).unwrap() * 3;
    assert!(
        upstream.count() >= more_than_its_share,
        "only {}",
        upstream.count()
    );
}

#[test]
fn a_redis_that_has_forgotten_lets_nobody_spend_what_a_dead_replica_may_have_spent() {
    let mut redis = Redis::start();
    let upstream = Arc::new(Upstream::default());
    let waits = Builder::new_current_thread().enable_all().build().unwrap();
    let (one, two) = (Replica::start(&redis.url()), Replica::start(&redis.url()));
    one.await_seat();
    two.drive(20, &upstream);
    eventually("all of the budget is spent by one", || {
        upstream.count() >= usize::try_from(LIMIT).unwrap()
    });
    two.kill();
    redis.kill();
    redis.start_again();
    one.drive(20, &upstream);
    waits.block_on(served_within(&upstream, SPAN + LEASE + Duration::from_secs(3)));
    pause(SPAN);
    one.kill();
    upstream.assert_bound();
}

/// A wire to Redis, which can be cut while it goes on for others.
pub(super) struct Wire {
    directory: TempDir,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    pub(super) fn to(server: PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("wire.sock")).unwrap();
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), UnixStream::connect(&server).unwrap());
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let cut = Arc::clone(&cut);
                    std::thread::spawn(move || {
                        let mut bytes = [0; 4096];
                        // What comes when it is cut is lost; nobody is told.
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            if !cut.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
                                return;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { directory, is_cut }
    }

    pub(super) fn url(&self) -> String {
        format!("unix://{}", self.directory.path().join("wire.sock").display())
    }

    pub(super) fn set_cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

#[test]
fn a_replica_that_is_cut_off_goes_by_its_share_and_the_others_leave_that_to_it() {
    let redis = Redis::start();
    let wire = Wire::to(redis.socket());
    let upstream = Arc::new(Upstream::default());
    let (one, two) = (Replica::start(&redis.url()), Replica::start(&wire.url()));
    one.drive(20, &upstream);
    two.drive(20, &upstream);
    pause(SPAN);
    wire.set_cut(true);
    pause(SPAN * 2 + LEASE);
    // By now both go on: one by what Redis leaves it, the other by its share.
    let readings = [&one, &two].map(|replica| replica.admitted());
    pause(SPAN * 2);
    for (replica, before) in [&one, &two].into_iter().zip(readings) {
        assert!(replica.admitted() > before, "both are served");
    }
    wire.set_cut(false);
    pause(SPAN * 2);
    one.kill();
    two.kill();
    upstream.assert_bound();
}
