use std::future::Future;
use std::num::NonZeroU16;

use proptest::prelude::*;
use tokio::time::sleep;

use super::*;
use crate::quota::TenantLimits;
use crate::telemetry::Metrics;
use crate::tenancy::TenantId;

const SPAN: Duration = Duration::from_secs(60);

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Runs on a clock that stands still while anybody has something to do.
fn on_paused_clock<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

/// A budget with its task, and what has been sent under it.
struct Scene {
    budget: Arc<Budget>,
    sent: Mutex<Vec<Sending>>,
    flights: Mutex<Vec<(Instant, Instant, usize)>>,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    at: Instant,
    tenant: usize,
    kind: Kind,
    is_first: bool,
}

/// What one exchange does with its place.
#[derive(Clone, Debug)]
struct Visit {
    tenant: usize,
    limits: TenantLimits,
    kinds: Vec<Kind>,
    connecting: Duration,
    answering: Duration,
    patience: Duration,
}

impl Scene {
    fn new(limits: Limits, span: Duration) -> Arc<Self> {
        let metrics = Metrics::new().unwrap().budget("test", limits.requests.is_some());
        let budget = Budget::new("test", limits, span, metrics);
        tokio::spawn(Arc::clone(&budget).run());
        Arc::new(Self {
            budget,
            sent: Mutex::default(),
            flights: Mutex::default(),
        })
    }

    async fn visit(&self, visit: Visit) -> Result<(), Refused> {
        let tenant = TenantId(format!("ten_{}", visit.tenant));
        let entrant = Entrant {
            tenant: &tenant,
            limits: visit.limits,
        };
        let until = Instant::now() + visit.patience;
        let mut place = self.budget.enter(&entrant, visit.kinds[0], until).await?;
        let _flight = Flight {
            scene: self,
            from: Instant::now(),
            tenant: visit.tenant,
        };
        for (index, kind) in visit.kinds.iter().enumerate() {
            let mut token = place.token(*kind, until).await?;
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
    fn assert_window(&self, limit: Option<u32>, span: Duration, counts: impl Fn(&Sending) -> bool) {
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
    fn assert_concurrent(&self, limit: Option<u32>, counts: impl Fn(usize) -> bool) {
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

    fn assert_left_clean(&self) {
        let state = self.budget.state.lock();
        assert_eq!((state.admission.waiting(), state.admission.in_flight()), (0, 0));
    }

    fn sent_by(&self, tenant: usize) -> usize {
        let sent = self.sent.lock();
        sent.iter().filter(|sending| sending.tenant == tenant).count()
    }
}

struct Flight<'a> {
    scene: &'a Scene,
    from: Instant,
    tenant: usize,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let flight = (self.from, Instant::now(), self.tenant);
        self.scene.flights.lock().push(flight);
    }
}

fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap())
}

fn weighing(weight: u16) -> TenantLimits {
    TenantLimits {
        weight: NonZeroU16::new(weight).unwrap(),
        ..TenantLimits::default()
    }
}

fn retrieve(tenant: usize, patience: Duration) -> Visit {
    Visit {
        tenant,
        limits: TenantLimits::default(),
        kinds: vec![Kind::Read],
        connecting: Duration::ZERO,
        answering: millis(200),
        patience,
    }
}

#[test]
fn shares_follow_the_weights_whoever_floods() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(60),
            concurrent: Some(5),
            ..Limits::default()
        };
        let scene = Scene::new(limits, SPAN);
        let end = Instant::now() + 40 * SPAN;
        let mut clients = Vec::new();
        // The flood ignores what it is told; the others come again when they are.
        for (tenant, weight, count, is_patient) in [(0, 1, 60, false), (1, 1, 30, true), (2, 2, 60, true)] {
            for client in 0..count {
                let scene = Arc::clone(&scene);
                clients.push(tokio::spawn(async move {
                    let mut refusals = 0;
                    let mut connecting = client * 37 % 700;
                    while Instant::now() < end {
                        connecting = (connecting * 31 + 7) % 700;
                        let visit = Visit {
                            limits: weighing(weight),
                            connecting: millis(connecting),
                            ..retrieve(tenant, millis(40_000))
                        };
                        if let Err(refused) = scene.visit(visit).await {
                            refusals += 1;
                            let wait = if is_patient {
                                refused.retry_after
                            } else {
                                millis(900)
                            };
                            sleep(wait).await;
                        }
                    }
                    refusals
                }));
            }
        }
        let mut refusals = 0;
        for client in clients {
            refusals += client.await.unwrap();
        }
        scene.assert_window(Some(60), SPAN, |_| true);
        scene.assert_concurrent(Some(5), |_| true);
        scene.assert_left_clean();
        let total = scene.sent.lock().len();
        assert!(refusals > 5_000, "thousands came: {refusals}");
        assert!(total > 60 * 38, "the budget was used: {total}");
        for (tenant, share) in [(0, 0.25), (1, 0.25), (2, 0.5)] {
            let got = count(scene.sent_by(tenant)) / count(total);
            assert!(
                (got - share).abs() <= 0.05 * share,
                "tenant {tenant}: {got} of {total}"
            );
        }
    });
}

#[test]
fn a_thousand_waiting_delay_anothers_first_by_one_turn() {
    on_paused_clock(async {
        let limits = Limits {
            concurrent: Some(1),
            ..Limits::default()
        };
        let scene = Scene::new(limits, SPAN);
        for _ in 0..1000 {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.visit(retrieve(0, millis(10_000_000))).await });
        }
        sleep(millis(700)).await;
        let asked = Instant::now();
        scene.visit(retrieve(1, millis(40_000))).await.unwrap();
        let waited = asked.elapsed() - millis(200);
        assert!(waited <= millis(400), "{waited:?}");
    });
}

#[test]
fn a_turn_that_cannot_come_in_time_is_refused_at_once_and_says_when_to_come() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(2),
            ..Limits::default()
        };
        let scene = Scene::new(limits, SPAN);
        for _ in 0..2 {
            scene.visit(retrieve(0, millis(1))).await.unwrap();
        }
        let asked = Instant::now();
        let refused = scene.visit(retrieve(1, millis(40_000))).await.unwrap_err();
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert_eq!(
            (refused.limited_by, refused.because),
            (LimitedBy::Upstream, RefusedBecause::TooLate)
        );
        sleep(refused.retry_after).await;
        scene.visit(retrieve(1, millis(40_000))).await.unwrap();
    });
}

#[test]
fn who_waits_in_vain_is_refused_at_its_deadline() {
    on_paused_clock(async {
        let limits = Limits {
            concurrent: Some(1),
            ..Limits::default()
        };
        let scene = Scene::new(limits, SPAN);
        let hanging = Arc::clone(&scene);
        tokio::spawn(async move {
            let visit = Visit {
                answering: millis(60_000),
                ..retrieve(0, millis(1))
            };
            hanging.visit(visit).await
        });
        sleep(millis(1)).await;
        let asked = Instant::now();
        let refused = scene.visit(retrieve(1, millis(40_000))).await.unwrap_err();
        assert_eq!(asked.elapsed(), millis(40_000));
        assert_eq!(refused.because, RefusedBecause::Waited);
        assert_eq!(refused.retry_after, millis(1000));
    });
}

#[test]
fn a_lane_takes_1024_and_a_tenants_own_limit_is_named() {
    on_paused_clock(async {
        let scene = Scene::new(Limits::default(), SPAN);
        let limits = TenantLimits {
            concurrent: Some(1),
            ..TenantLimits::default()
        };
        let visit = Visit {
            limits,
            ..retrieve(0, millis(10_000_000))
        };
        for _ in 0..1025 {
            let (scene, visit) = (Arc::clone(&scene), visit.clone());
            tokio::spawn(async move { scene.visit(visit).await });
        }
        sleep(millis(1)).await;
        let refused = scene.visit(visit).await.unwrap_err();
        assert_eq!(
            (refused.limited_by, refused.because),
            (LimitedBy::Tenant, RefusedBecause::LaneFull)
        );
        scene.visit(retrieve(1, millis(1))).await.unwrap();
    });
}

#[test]
fn a_tenants_own_window_counts_exchanges_and_the_budgets_counts_requests() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(100),
            ..Limits::default()
        };
        let scene = Scene::new(limits, SPAN);
        let limits = TenantLimits {
            requests: Some(3),
            ..TenantLimits::default()
        };
        let tenant = TenantId("ten_0".to_owned());
        let entrant = Entrant {
            tenant: &tenant,
            limits,
        };
        assert_eq!(scene.budget.standing(&entrant).unwrap().remaining, 3);
        let visit = Visit {
            limits,
            kinds: vec![Kind::Read; 4],
            ..retrieve(0, millis(40_000))
        };
        scene.visit(visit.clone()).await.unwrap();
        let standing = scene.budget.standing(&entrant).unwrap();
        assert_eq!((standing.limit, standing.remaining), (3, 2));
        assert_eq!(
            standing.reset,
            SPAN - millis(800),
            "from when its first request was sent"
        );
        let now = Instant::now();
        assert_eq!(scene.budget.state.lock().admission.left(now), Some(96));
    });
}

#[test]
fn silence_holds_for_all_even_where_nothing_is_limited() {
    on_paused_clock(async {
        let scene = Scene::new(Limits::default(), SPAN);
        scene.budget.close_for(millis(5_000));
        let asked = Instant::now();
        let refused = scene.visit(retrieve(0, millis(4_000))).await.unwrap_err();
        assert_eq!(refused.because, RefusedBecause::TooLate);
        scene.visit(retrieve(0, millis(40_000))).await.unwrap();
        assert_eq!(asked.elapsed(), millis(5_200));
        sleep(millis(10)).await;
        assert!(!scene.budget.is_closed.load(Ordering::Relaxed));
    });
}

#[test]
fn what_was_never_sent_costs_nothing() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(1),
            ..Limits::default()
        };
        let scene = Scene::new(limits, SPAN);
        let tenant = TenantId("ten_0".to_owned());
        let entrant = Entrant {
            tenant: &tenant,
            limits: TenantLimits {
                requests: Some(1),
                ..TenantLimits::default()
            },
        };
        let until = Instant::now() + millis(1);
        for _ in 0..3 {
            let mut place = scene.budget.enter(&entrant, Kind::Read, until).await.unwrap();
            let mut token = place.token(Kind::Read, until).await.unwrap();
            token.sent();
            token.unsent();
        }
        for kind in [Kind::Read, Kind::Change] {
            let mut place = scene.budget.enter(&entrant, Kind::Read, until).await.unwrap();
            drop(place.token(kind, until).await.unwrap());
        }
        drop(scene.budget.enter(&entrant, Kind::Create, until).await.unwrap());
        let standing = scene.budget.standing(&entrant).unwrap();
        assert_eq!((standing.remaining, standing.reset), (1, Duration::ZERO));
        scene.visit(retrieve(1, millis(1))).await.unwrap();
        scene.assert_left_clean();
    });
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Create), Just(Kind::Read), Just(Kind::Change)]
}

fn limit(most: u32) -> impl Strategy<Value = Option<u32>> {
    prop_oneof![1 => Just(None), 3 => (1..=most).prop_map(Some)]
}

prop_compose! {
    fn limits()(requests in limit(12), concurrent in limit(4), creates in limit(3), reads in limit(6)) -> Limits {
        Limits { requests, concurrent, creates, reads }
    }
}

prop_compose! {
    fn tenant_limits()(requests in limit(6), concurrent in limit(3), weight in 1..5u16) -> TenantLimits {
        TenantLimits { requests, concurrent, ..weighing(weight) }
    }
}

/// An arrival: when, what, and after how long its client is gone, if before the end.
type Coming = (u64, Visit, Option<u64>);

prop_compose! {
    fn coming()(
        at in 0..30_000u64,
        tenant in 0..3usize,
        kinds in prop::collection::vec(kind(), 1..4),
        times in (0..3_000u64, 0..2_000u64),
        patience in prop_oneof![0..20_000u64, Just(100_000_000)],
        leaves in prop_oneof![2 => Just(None), 1 => (0..20_000u64).prop_map(Some)],
    ) -> Coming {
        let visit = Visit {
            tenant,
            limits: TenantLimits::default(),
            kinds,
            connecting: millis(times.0),
            answering: millis(times.1),
            patience: millis(patience),
        };
        (at, visit, leaves)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_limit_is_ever_exceeded_nobody_is_forgotten_and_nothing_is_left_behind(
        limits in limits(),
        tenants in prop::array::uniform3(tenant_limits()),
        comings in prop::collection::vec(coming(), 1..80),
        silence in prop::option::of((0..30_000u64, 1..8_000u64)),
    ) {
        const SPAN: Duration = Duration::from_secs(10);
        on_paused_clock(async move {
            let scene = Scene::new(limits, SPAN);
            let clients: Vec<_> = comings.into_iter().map(|(at, visit, leaves)| {
                let scene = Arc::clone(&scene);
                tokio::spawn(async move {
                    sleep(millis(at)).await;
                    let visit = Visit { limits: tenants[visit.tenant], ..visit };
                    let waits_for_ever = visit.patience > SPAN * 100;
                    match leaves {
                        Some(leaves) => drop(tokio::time::timeout(millis(leaves), scene.visit(visit)).await),
                        None => {
                            let outcome = scene.visit(visit).await;
                            assert!(outcome.is_ok() || !waits_for_ever, "stuck: {outcome:?}");
                        }
                    }
                })
            }).collect();
            if let Some((at, duration)) = silence {
                sleep(millis(at)).await;
                scene.budget.close_for(millis(duration));
            }
            for client in clients {
                client.await.unwrap();
            }
            scene.assert_window(limits.requests, SPAN, |_| true);
            scene.assert_window(limits.creates, SPAN, |sending| sending.kind == Kind::Create);
            scene.assert_window(limits.reads, SPAN, |sending| sending.kind == Kind::Read);
            scene.assert_concurrent(limits.concurrent, |_| true);
            for (number, tenant) in tenants.iter().enumerate() {
                let is_own_first = |sending: &Sending| sending.tenant == number && sending.is_first;
                scene.assert_window(tenant.requests, SPAN, is_own_first);
                scene.assert_concurrent(tenant.concurrent, |flight| flight == number);
            }
            scene.assert_left_clean();
            sleep(SPAN * 3).await;
            assert_eq!(scene.budget.state.lock().admission.lanes(), 0, "lanes are forgotten");
        });
    }
}
