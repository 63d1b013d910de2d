use tokio::time::sleep;

use super::*;
use crate::quota::TenantLimits;
use crate::quota::simulation::{SPAN, Simulation, Visit, count, millis, on_paused_clock, retrieve, weighing};
use crate::tenancy::TenantId;

#[test]
fn shares_follow_the_weights_whoever_floods() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(60),
            concurrent: Some(5),
            ..Limits::default()
        };
        let simulation = Simulation::new(limits, SPAN);
        let end = Instant::now() + 40 * SPAN;
        let mut clients = Vec::new();
        // The flood ignores what it is told; the others come again when they are.
        for (tenant, weight, count, is_patient) in [(0, 1, 60, false), (1, 1, 30, true), (2, 2, 60, true)] {
            for client in 0..count {
                let simulation = Arc::clone(&simulation);
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
                        if let Err(refused) = simulation.visit(visit).await {
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
        simulation.assert_window(Some(60), SPAN, |_| true);
        simulation.assert_concurrent(Some(5), |_| true);
        simulation.assert_left_clean();
        let total = simulation.sent.lock().len();
        assert!(refusals > 5_000, "thousands came: {refusals}");
        assert!(total > 60 * 38, "the budget was used: {total}");
        for (tenant, share) in [(0, 0.25), (1, 0.25), (2, 0.5)] {
            let got = count(simulation.sent_by(tenant)) / count(total);
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
        let simulation = Simulation::new(limits, SPAN);
        for _ in 0..1000 {
            let simulation = Arc::clone(&simulation);
            tokio::spawn(async move { simulation.visit(retrieve(0, millis(10_000_000))).await });
        }
        sleep(millis(700)).await;
        let asked = Instant::now();
        simulation.visit(retrieve(1, millis(40_000))).await.unwrap();
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
        let simulation = Simulation::new(limits, SPAN);
        for _ in 0..2 {
            simulation.visit(retrieve(0, millis(1))).await.unwrap();
        }
        let asked = Instant::now();
        let refused = simulation.visit(retrieve(1, millis(40_000))).await.unwrap_err();
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert_eq!(
            (refused.limited_by, refused.because),
            (LimitedBy::Upstream, RejectionReason::TooLate)
        );
        sleep(refused.retry_after).await;
        simulation.visit(retrieve(1, millis(40_000))).await.unwrap();
    });
}

#[test]
fn who_waits_in_vain_is_refused_at_its_deadline() {
    on_paused_clock(async {
        let limits = Limits {
            concurrent: Some(1),
            ..Limits::default()
        };
        let simulation = Simulation::new(limits, SPAN);
        let hanging = Arc::clone(&simulation);
        tokio::spawn(async move {
            let visit = Visit {
                answering: millis(60_000),
                ..retrieve(0, millis(1))
            };
            hanging.visit(visit).await
        });
        sleep(millis(1)).await;
        let asked = Instant::now();
        let refused = simulation.visit(retrieve(1, millis(40_000))).await.unwrap_err();
        assert_eq!(asked.elapsed(), millis(40_000));
        assert_eq!(refused.because, RejectionReason::Waited);
        assert_eq!(refused.retry_after, millis(1000));
    });
}

#[test]
fn a_lane_takes_1024_and_a_tenants_own_limit_is_named() {
    on_paused_clock(async {
        let simulation = Simulation::new(Limits::default(), SPAN);
        let limits = TenantLimits {
            concurrent: Some(1),
            ..TenantLimits::default()
        };
        let visit = Visit {
            limits,
            ..retrieve(0, millis(10_000_000))
        };
        for _ in 0..1025 {
            let (simulation, visit) = (Arc::clone(&simulation), visit.clone());
            tokio::spawn(async move { simulation.visit(visit).await });
        }
        sleep(millis(1)).await;
        let refused = simulation.visit(visit).await.unwrap_err();
        assert_eq!(
            (refused.limited_by, refused.because),
            (LimitedBy::Tenant, RejectionReason::QueueFull)
        );
        simulation.visit(retrieve(1, millis(1))).await.unwrap();
    });
}

#[test]
fn a_tenants_own_window_counts_exchanges_and_the_budgets_counts_requests() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(100),
            ..Limits::default()
        };
        let simulation = Simulation::new(limits, SPAN);
        let limits = TenantLimits {
            requests: Some(3),
            ..TenantLimits::default()
        };
        let tenant = TenantId("ten_0".to_owned());
        let tenant_quota = TenantQuota {
            tenant: &tenant,
            limits,
        };
        assert_eq!(
            simulation
                .budget
                .rate_limit_status(&tenant_quota)
                .unwrap()
                .remaining,
            3
        );
        let visit = Visit {
            limits,
            kinds: vec![Kind::Read; 4],
            ..retrieve(0, millis(40_000))
        };
        simulation.visit(visit.clone()).await.unwrap();
        let status = simulation.budget.rate_limit_status(&tenant_quota).unwrap();
        assert_eq!((status.limit, status.remaining), (3, 2));
        assert_eq!(
            status.reset,
            SPAN - millis(800),
            "from when its first request was sent"
        );
        let now = Instant::now();
        assert_eq!(simulation.budget.state.lock().admission.left(now), Some(96));
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
        let simulation = Simulation::new(limits, SPAN);
        for _ in 0..100 {
            let simulation = Arc::clone(&simulation);
            let visit = Visit {
                kinds: vec![Kind::Create],
                ..retrieve(0, millis(1_000_000))
            };
            tokio::spawn(async move { simulation.visit(visit).await });
        }
        sleep(millis(1_000)).await;
        for _ in 0..29 {
            simulation.visit(retrieve(0, millis(40_000))).await.unwrap();
        }
    });
}

#[test]
fn silence_holds_for_all_even_where_nothing_is_limited() {
    on_paused_clock(async {
        let simulation = Simulation::new(Limits::default(), SPAN);
        simulation.budget.close_for(millis(5_000));
        let asked = Instant::now();
        let refused = simulation.visit(retrieve(0, millis(4_000))).await.unwrap_err();
        assert_eq!(refused.because, RejectionReason::TooLate);
        simulation.visit(retrieve(0, millis(40_000))).await.unwrap();
        assert_eq!(asked.elapsed(), millis(5_200));
        sleep(millis(10)).await;
        assert!(!simulation.budget.is_limited.load(Ordering::Relaxed));
    });
}

#[test]
fn what_was_never_sent_costs_nothing() {
    on_paused_clock(async {
        let limits = Limits {
            requests: Some(1),
            ..Limits::default()
        };
        let simulation = Simulation::new(limits, SPAN);
        let tenant = TenantId("ten_0".to_owned());
        let tenant_quota = TenantQuota {
            tenant: &tenant,
            limits: TenantLimits {
                requests: Some(1),
                ..TenantLimits::default()
            },
        };
        let until = Instant::now() + millis(1);
        for _ in 0..3 {
            let mut slot = simulation
                .budget
                .enter(&tenant_quota, Kind::Read, until)
                .await
                .unwrap();
            let mut token = slot.token(Kind::Read, until).await.unwrap();
            token.sent();
            token.unsent();
        }
        for kind in [Kind::Read, Kind::OtherWrite] {
            let mut slot = simulation
                .budget
                .enter(&tenant_quota, Kind::Read, until)
                .await
                .unwrap();
            drop(slot.token(kind, until).await.unwrap());
        }
        drop(
            simulation
                .budget
                .enter(&tenant_quota, Kind::Create, until)
                .await
                .unwrap(),
        );
        let status = simulation.budget.rate_limit_status(&tenant_quota).unwrap();
        assert_eq!((status.remaining, status.reset), (1, Duration::ZERO));
        simulation.visit(retrieve(1, millis(1))).await.unwrap();
        simulation.assert_left_clean();
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
        let simulation = Simulation::new(limits, SPAN);
        let start = Instant::now();
        let acme: Vec<_> = (0..300)
            .map(|_| {
                let simulation = Arc::clone(&simulation);
                tokio::spawn(async move {
                    let visit = retrieve(0, millis(40_000));
                    let (first, at) = (simulation.visit(visit.clone()).await, Instant::now());
                    let Err(refused) = first else {
                        return (first, at, None);
                    };
                    sleep(refused.retry_after).await;
                    (first, at, Some(simulation.visit(visit).await))
                })
            })
            .collect();
        let umbrella = |simulation: Arc<Simulation>| async move {
            let visit = Visit {
                limits: weighing(2),
                ..retrieve(1, millis(40_000))
            };
            simulation.visit(visit).await
        };
        sleep(millis(1_000)).await;
        umbrella(Arc::clone(&simulation)).await.unwrap();
        assert!(start.elapsed() <= millis(1_400), "it waited for one turn at most");

        sleep(start + millis(5_000) - Instant::now()).await;
        assert_eq!(simulation.sent.lock().len(), 60, "all is spent");
        let refused = umbrella(Arc::clone(&simulation)).await.unwrap_err();
        assert_eq!(refused.because, RejectionReason::TooLate);
        assert_eq!(refused.retry_after, millis(16_000));
        sleep(refused.retry_after).await;
        umbrella(Arc::clone(&simulation)).await.unwrap();
        let sent = simulation.sent.lock().clone();
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
                (Err(refused), at) if refused.because == RejectionReason::TooLate => {
                    assert_eq!(
                        (at - start, refused.retry_after),
                        (Duration::ZERO, millis(21_000))
                    );
                    outcomes[1] += 1;
                }
                (Err(refused), at) => {
                    assert_eq!(
                        (at - start, refused.because),
                        (millis(40_000), RejectionReason::Waited)
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
