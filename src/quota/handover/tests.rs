use std::num::NonZeroU16;

use super::*;
use crate::quota::{Allowance, Kind, TenantLimits, TenantQuota};
use crate::telemetry::Metrics;
use crate::tenancy::TenantId;

const SPAN: Duration = Duration::from_secs(60);
const LIMIT: usize = 20;

fn budget(metrics: &Metrics) -> Arc<Budget> {
    let allowance = Allowance {
        limits: Limits {
            reads: Some(LIMIT.try_into().unwrap()),
            concurrent: Some(8),
            ..Limits::default()
        },
        replicas: 1,
        learn: false,
        span: SPAN,
    };
    Budget::new("default", allowance, metrics.budget("default"))
}

/// What a budget lets up now, at once, so many at most.
async fn send(budget: &Arc<Budget>, most: usize, sent: &mut Vec<Instant>) {
    let tenant = TenantId("t".to_owned());
    let quota = TenantQuota {
        tenant: &tenant,
        limits: TenantLimits {
            weight: NonZeroU16::MIN,
            ..TenantLimits::default()
        },
    };
    for _ in 0..most {
        let Ok(mut slot) = budget.enter(&quota, Kind::Read, Instant::now()).await else {
            return;
        };
        let mut token = slot.token(Kind::Read, Instant::now()).await.unwrap();
        token.sent();
        sent.push(Instant::now());
    }
}

/// The most that was sent in any window.
fn most(sent: &[Instant]) -> usize {
    let within = |first: &Instant| {
        sent.iter()
            .filter(|at| *at >= first && **at < *first + SPAN)
            .count()
    };
    sent.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn two_processes_send_no_more_than_one_may_and_the_second_has_it_all_in_the_end() {
    let metrics = [(); 2].map(|()| Metrics::new().unwrap());
    let [first, second] = [&metrics[0], &metrics[1]].map(budget);
    let mut sent = Vec::new();
    for _ in 0..4 {
        send(&first, 4, &mut sent).await;
        tokio::time::advance(SPAN / 7).await;
    }
    let (handover, spent) = BudgetHandover::begin(&first).unwrap();
    let spent = serde_json::from_str(&serde_json::to_string(&spent).unwrap()).unwrap();
    second.take_over(&spent);
    handover.confirm();
    for step in 0..80 {
        // It goes at a moment when it may just have sent all that it kept.
        if step < 40 {
            send(&first, LIMIT, &mut sent).await;
        }
        send(&second, LIMIT, &mut sent).await;
        if step < 40 {
            second.leave_elsewhere(&handover.kept(step % 2 == 0));
        } else if step == 40 {
            second.end_elsewhere();
        }
        tokio::time::advance(SPAN / 13).await;
    }
    assert_eq!(most(&sent), LIMIT, "all of the limit, and never more");
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_before_counts_in_the_process_that_follows() {
    let metrics = [(); 2].map(|()| Metrics::new().unwrap());
    let [first, second] = [&metrics[0], &metrics[1]].map(budget);
    let mut sent = Vec::new();
    send(&first, 2 * LIMIT, &mut sent).await;
    assert_eq!(sent.len(), LIMIT);
    let (handover, spent) = BudgetHandover::begin(&first).unwrap();
    second.take_over(&spent);
    handover.confirm();
    send(&second, 2 * LIMIT, &mut sent).await;
    assert_eq!(sent.len(), LIMIT, "nothing is left");
    tokio::time::advance(SPAN).await;
    second.leave_elsewhere(&handover.kept(true));
    second.end_elsewhere();
    send(&second, 2 * LIMIT, &mut sent).await;
    assert_eq!(sent.len(), 2 * LIMIT, "a window later all is the second's");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_nobody_follows_after_all_has_its_budget_back() {
    let metrics = Metrics::new().unwrap();
    let first = budget(&metrics);
    let mut sent = Vec::new();
    send(&first, 2 * LIMIT, &mut sent).await;
    tokio::time::advance(SPAN / 2).await;
    drop(BudgetHandover::begin(&first).unwrap());
    send(&first, 2 * LIMIT, &mut sent).await;
    assert_eq!(sent.len(), LIMIT, "what was spent is not forgotten");
    tokio::time::advance(SPAN / 2).await;
    send(&first, 2 * LIMIT, &mut sent).await;
    assert_eq!(sent.len(), 2 * LIMIT, "and the whole limit is there again");
}
