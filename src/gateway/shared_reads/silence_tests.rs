//! Reads that fail, or of which nothing comes.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::tests::{NOT_KEEPING, anybody, retrieve, said, state};
use super::*;
use crate::upstream::ReceivedBytes;

const SECOND: Duration = Duration::from_secs(1);

/// Readers of a tenant each, in their order, and how many of them have asked.
struct Crowd {
    reads: Arc<SharedReads>,
    asked: Arc<AtomicUsize>,
    began: Instant,
    readers: JoinSet<(usize, Result<String, &'static str>, Duration)>,
}

impl Crowd {
    fn new() -> Self {
        Self {
            reads: Arc::new(SharedReads::new(&NOT_KEEPING)),
            asked: Arc::default(),
            began: Instant::now(),
            readers: JoinSet::new(),
        }
    }

    /// Adds a reader whose request, once it is sent, ends as `ask` does.
    async fn join(
        &mut self,
        tenant: usize,
        ask: impl Future<Output = Result<&'static str, AskError>> + Send + 'static,
    ) {
        let (reads, asked, began) = (Arc::clone(&self.reads), Arc::clone(&self.asked), self.began);
        self.readers.spawn(async move {
            let id = TenantId(tenant.to_string());
            let reader = Reader {
                tenant: &id,
                ..anybody()
            };
            let ask = async {
                asked.fetch_add(1, Ordering::SeqCst);
                ask.await.map(state)
            };
            let outcome = reads.read(retrieve(), reader, ask).await;
            let outcome = outcome.map(|shared| said(&shared.reply));
            (tenant, outcome.map_err(|error| error.kind()), began.elapsed())
        });
        // So that they come in their order.
        tokio::task::yield_now().await;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What came of each, in the order of their tenants.
    async fn outcomes(self) -> Vec<(Result<String, &'static str>, Duration)> {
        let mut outcomes = self.readers.join_all().await;
        assert!(self.reads.in_flight.is_empty(), "nothing is left behind");
        outcomes.sort_by_key(|(tenant, ..)| *tenant);
        outcomes
            .into_iter()
            .map(|(_, outcome, after)| (outcome, after))
            .collect()
    }
}

async fn after(
    duration: Duration,
    outcome: Result<&'static str, AskError>,
) -> Result<&'static str, AskError> {
    sleep(duration).await;
    outcome
}

fn broken() -> AskError {
    AskError {
        error: ApiError::UpstreamBroken { after_write: false },
        may_wait: false,
    }
}

#[tokio::test(start_paused = true)]
async fn after_two_seconds_without_a_byte_another_asks_and_its_reply_is_everybodys() {
    let mut crowd = Crowd::new();
    crowd.join(0, std::future::pending()).await;
    for tenant in 1..50 {
        crowd.join(tenant, after(SECOND / 100, Ok("at last"))).await;
    }
    sleep(2 * SECOND - SECOND / 100).await;
    assert_eq!(crowd.asked(), 1);
    sleep(SECOND).await;
    assert_eq!(crowd.asked(), 2);
    for (outcome, after) in crowd.outcomes().await {
        assert_eq!(outcome, Ok("at last".to_owned()));
        assert_eq!(after.as_secs(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn three_ask_at_once_at_most() {
    let mut crowd = Crowd::new();
    for tenant in 0..50 {
        crowd.join(tenant, after(60 * SECOND, Ok("late"))).await;
    }
    for (second, asked) in [(1, 1), (3, 2), (5, 3), (7, 3), (59, 3)] {
        tokio::time::sleep_until(crowd.began + second * SECOND).await;
        assert_eq!(crowd.asked(), asked, "after {second} s");
    }
    for (outcome, after) in crowd.outcomes().await {
        assert_eq!((outcome, after.as_secs()), (Ok("late".to_owned()), 60));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_else_asks_while_bytes_come() {
    let reads = SharedReads::new(&NOT_KEEPING);
    let (received, leader, follower) = (ReceivedBytes::default(), anybody(), anybody());
    let slow = async {
        leader.progress.follow(&received);
        for _ in 0..9 {
            sleep(SECOND).await;
            received.note();
        }
        Ok(state("slow"))
    };
    let never = async { panic!("nobody else has to ask") };
    let (first, second) = tokio::join!(
        reads.read(retrieve(), leader, slow),
        reads.read(retrieve(), follower, never),
    );
    for shared in [first, second] {
        assert_eq!(said(&shared.unwrap().reply), "slow");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_answers_its_own_tenant_and_one_of_the_others_leads_the_next() {
    let mut crowd = Crowd::new();
    crowd.join(0, after(SECOND, Err(broken()))).await;
    crowd.join(0, after(SECOND, Ok("not asked"))).await;
    for tenant in 1..4 {
        crowd.join(tenant, after(SECOND, Ok("next"))).await;
    }
    assert_eq!(crowd.asked(), 1);
    sleep(SECOND + SECOND / 10).await;
    assert_eq!(crowd.asked(), 2);
    let outcomes = crowd.outcomes().await;
    let (failed, served) = outcomes.split_at(2);
    for (outcome, after) in failed {
        assert_eq!((outcome, after.as_secs()), (&Err("upstream_broken"), 1));
    }
    for (outcome, after) in served {
        assert_eq!((outcome, after.as_secs()), (&Ok("next".to_owned()), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_for_two_reads_in_vain_asks_for_itself() {
    let mut crowd = Crowd::new();
    for tenant in 0..6 {
        crowd.join(tenant, after(3 * SECOND / 2, Err(broken()))).await;
    }
    let mut ended: Vec<_> = crowd
        .outcomes()
        .await
        .into_iter()
        .map(|(outcome, after)| {
            assert_eq!(outcome, Err("upstream_broken"));
            after.as_millis()
        })
        .collect();
    // Whichever of them leads the second.
    ended.sort_unstable();
    assert_eq!(ended, [1500, 3000, 4500, 4500, 4500, 4500]);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_a_turn_waits_on_for_those_who_have_one() {
    let mut crowd = Crowd::new();
    crowd.join(0, after(5 * SECOND, Ok("for both"))).await;
    let no_turn = AskError {
        error: ApiError::TenantLimit { retry_after: SECOND },
        may_wait: true,
    };
    crowd.join(1, after(SECOND / 10, Err(no_turn))).await;
    for (outcome, after) in crowd.outcomes().await {
        assert_eq!((outcome, after.as_secs()), (Ok("for both".to_owned()), 5));
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_who_asked_fail_each_of_them_gets_its_own_failure() {
    let mut crowd = Crowd::new();
    crowd.join(0, after(5 * SECOND, Err(broken()))).await;
    let no_turn = AskError {
        error: ApiError::TenantLimit { retry_after: SECOND },
        may_wait: true,
    };
    crowd.join(1, after(SECOND / 10, Err(no_turn))).await;
    let outcomes: Vec<_> = crowd
        .outcomes()
        .await
        .into_iter()
        .map(|(outcome, _)| outcome)
        .collect();
    assert_eq!(outcomes, [Err("upstream_broken"), Err("tenant_limit")]);
}
