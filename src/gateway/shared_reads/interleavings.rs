//! Reads and writes of one environment, in whatever order they meet.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::tests::{KEEPING, NOT_KEEPING, access, anybody, id, retrieve, said, state};
use super::*;

/// A reader or a writer: when it begins, how long its request travels, and how long the answer.
#[derive(Clone, Debug)]
struct Step {
    writes: bool,
    starts: u64,
    up: u64,
    down: u64,
    is_dropped: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (any::<bool>(), 0..40_u64, 0..10_u64, 0..10_u64, 0..10_u8).prop_map(|(writes, starts, up, down, dice)| {
        Step {
            writes,
            starts,
            up,
            down,
            is_dropped: !writes && dice == 0,
        }
    })
}

/// Plays all steps against an upstream with one number in it, which every write raises. A read that begins
/// after the answer to a write must not show a number from before that write.
async fn play(settings: &config::Cache, steps: Vec<Step>) {
    let reads = Rc::new(SharedReads::new(settings));
    let stored = Rc::new(Cell::new(0_u64));
    let answered = Rc::new(Cell::new(0_u64));
    let everyone = LocalSet::new();
    let mut parts = Vec::new();
    for step in steps {
        let (reads, stored, answered) = (Rc::clone(&reads), Rc::clone(&stored), Rc::clone(&answered));
        parts.push(everyone.spawn_local(async move {
            let ms = Duration::from_millis;
            sleep(ms(step.starts)).await;
            if step.writes {
                let writing = reads.write(&access(), Some(&id()));
                sleep(ms(step.up)).await;
                stored.set(stored.get() + 1);
                let written = stored.get();
                sleep(ms(step.down)).await;
                drop(writing);
                answered.set(answered.get().max(written));
                return;
            }
            let least = answered.get();
            let ask = async {
                sleep(ms(step.up)).await;
                let seen = stored.get();
                sleep(ms(step.down)).await;
                Ok::<_, AskError>(state(&seen.to_string()))
            };
            let reading = reads.read(retrieve(), anybody(), ask);
            let patience = if step.is_dropped { ms(step.up) } else { ms(10_000) };
            if let Ok(shared) = tokio::time::timeout(patience, reading).await {
                let shared = shared.unwrap();
                let seen: u64 = said(&shared.reply).parse().unwrap();
                assert!(seen >= least, "saw {seen} after {least} was answered: {shared:?}");
            }
        }));
    }
    everyone.await;
    for part in parts {
        part.await.unwrap();
    }
    assert!(reads.in_flight.is_empty());
}

#[test]
fn nobody_sees_what_was_before_an_answered_write_in_ten_thousand_interleavings() {
    let config = ProptestConfig::with_cases(10_000);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(config, rng);
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    };
    let cases = (any::<bool>(), proptest::collection::vec(step(), 2..24));
    let outcome = runner.run(&cases, |(keeps, steps)| {
        runtime().block_on(play(if keeps { &KEEPING } else { &NOT_KEEPING }, steps));
        Ok(())
    });
    outcome.unwrap();
}
