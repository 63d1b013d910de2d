use tokio::time::sleep;

use super::*;
use crate::quota::TenantLimits;
use crate::quota::scene::{SPAN, Scene, Visit, count, millis, on_paused_clock, retrieve, weighing};
use crate::tenancy::TenantId;

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
fn reads_are_not_refused_for_creates_that_wait() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(30),
            concurrent: Some(5),
            creates: Some(1),
            ..Limits::default()
        };
        let scene = Scene::new(limits, SPAN);
        for _ in 0..100 {
            let scene = Arc::clone(&scene);
            let visit = Visit {
                kinds: vec![Kind::Create],
                ..retrieve(0, millis(1_000_000))
            };
            tokio::spawn(async move { scene.visit(visit).await });
        }
        sleep(millis(1_000)).await;
        for _ in 0..29 {
            scene.visit(retrieve(0, millis(40_000))).await.unwrap();
        }
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

/// The example of docs/budget.md, number by number.
#[test]
fn the_worked_example_of_the_documentation_holds() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(60),
            concurrent: Some(5),
            ..Limits::default()
        };
        let scene = Scene::new(limits, SPAN);
        let start = Instant::now();
        let acme: Vec<_> = (0..300)
            .map(|_| {
                let scene = Arc::clone(&scene);
                tokio::spawn(async move {
                    let visit = retrieve(0, millis(40_000));
                    let (first, at) = (scene.visit(visit.clone()).await, Instant::now());
                    let Err(refused) = first else {
                        return (first, at, None);
                    };
                    sleep(refused.retry_after).await;
                    (first, at, Some(scene.visit(visit).await))
                })
            })
            .collect();
        let umbrella = |scene: Arc<Scene>| async move {
            let visit = Visit {
                limits: weighing(2),
                ..retrieve(1, millis(40_000))
            };
            scene.visit(visit).await
        };
        sleep(millis(1_000)).await;
        umbrella(Arc::clone(&scene)).await.unwrap();
        assert!(start.elapsed() <= millis(1_400), "it waited for one turn at most");

        sleep(start + millis(5_000) - Instant::now()).await;
        assert_eq!(scene.sent.lock().len(), 60, "all is spent");
        let refused = umbrella(Arc::clone(&scene)).await.unwrap_err();
        assert_eq!(refused.because, RefusedBecause::TooLate);
        assert_eq!(refused.retry_after, millis(16_000));
        sleep(refused.retry_after).await;
        umbrella(Arc::clone(&scene)).await.unwrap();
        let sent = scene.sent.lock().clone();
        let sent = sent.iter().skip(60).find(|sending| sending.tenant == 1);
        assert_eq!(
            sent.unwrap().at - start,
            SPAN,
            "with the first of the next minute"
        );

        let mut outcomes = [0; 3];
        let mut second = [0; 2];
        for visit in acme {
            let (first, at, again) = visit.await.unwrap();
            if let Some(again) = again {
                second[usize::from(again.is_err())] += 1;
            }
            match (first, at) {
                (Ok(()), _) => outcomes[0] += 1,
                (Err(refused), at) if refused.because == RefusedBecause::TooLate => {
                    assert_eq!(
                        (at - start, refused.retry_after),
                        (Duration::ZERO, millis(21_000))
                    );
                    outcomes[1] += 1;
                }
                (Err(refused), at) => {
                    assert_eq!(
                        (at - start, refused.because),
                        (millis(40_000), RefusedBecause::Waited)
                    );
                    outcomes[2] += 1;
                }
            }
        }
        assert_eq!(outcomes, [59, 240, 1]);
        assert_eq!(
            second,
            [24, 217],
            "a slot comes free every 40 ms, and one is Umbrella's"
        );
    });
}
