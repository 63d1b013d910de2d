//! Random arrivals, stays and departures: no limit is ever exceeded, and nothing is left behind.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use super::simulation::{Sending, Simulation, Visit, millis, on_paused_clock, weighing};
use super::{Kind, Limits, TenantLimits};

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Create), Just(Kind::Read), Just(Kind::OtherWrite)]
}

fn limit(most: u32) -> impl Strategy<Value = Option<u32>> {
    prop_oneof![1 => Just(None), 3 => (1..=most).prop_map(Some)]
}

prop_compose! {
    fn limits()(
        requests in limit(12), concurrent in limit(4), creates in limit(3), writes in limit(5), reads in limit(6),
    ) -> Limits {
        Limits { requests, concurrent, creates, writes, reads }
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
            let simulation = Simulation::new(limits, SPAN);
            let clients: Vec<_> = comings.into_iter().map(|(at, visit, leaves)| {
                let simulation = Arc::clone(&simulation);
                tokio::spawn(async move {
                    sleep(millis(at)).await;
                    let visit = Visit { limits: tenants[visit.tenant], ..visit };
                    let waits_for_ever = visit.patience > SPAN * 100;
                    match leaves {
                        Some(leaves) => drop(timeout(millis(leaves), simulation.visit(visit)).await),
                        None => {
                            let outcome = simulation.visit(visit).await;
                            assert!(outcome.is_ok() || !waits_for_ever, "stuck: {outcome:?}");
                        }
                    }
                })
            }).collect();
            if let Some((at, duration)) = silence {
                sleep(millis(at)).await;
                simulation.budget.close_for(millis(duration));
            }
            for client in clients {
                client.await.unwrap();
            }
            simulation.assert_window(limits.requests, SPAN, |_| true);
            simulation.assert_window(limits.creates, SPAN, |sending| sending.kind == Kind::Create);
            simulation.assert_window(limits.writes, SPAN, |sending| sending.kind != Kind::Read);
            simulation.assert_window(limits.reads, SPAN, |sending| sending.kind == Kind::Read);
            simulation.assert_concurrent(limits.concurrent, |_| true);
            for (number, tenant) in tenants.iter().enumerate() {
                let is_own_first = |sending: &Sending| sending.tenant == number && sending.is_first;
                simulation.assert_window(tenant.requests, SPAN, is_own_first);
                simulation.assert_concurrent(tenant.concurrent, |flight| flight == number);
            }
            simulation.assert_left_clean();
            sleep(SPAN * 3).await;
            assert_eq!(simulation.budget.occupation(), (0, 0, 0), "queues are forgotten");
        });
    }
}
