use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::quota::TenantLimits;

const SPAN: Duration = Duration::from_secs(60);
const ALL_OPEN: fn() -> Open = || ByKind::new(|_| true);

fn tenant(name: &str) -> TenantId {
    TenantId(name.to_owned())
}

fn weighing(weight: u16) -> TenantLimits {
    TenantLimits {
        weight: NonZeroU16::new(weight).unwrap(),
        ..TenantLimits::default()
    }
}

/// FairQueue in which names wait.
struct Queue {
    queues: FairQueue<&'static str>,
    now: Instant,
    arrivals: Arrival,
}

impl Queue {
    fn new() -> Self {
        Self {
            queues: FairQueue::new(SPAN),
            now: Instant::now(),
            arrivals: 0,
        }
    }

    fn push(&mut self, name: &'static str, limits: TenantLimits, kind: Kind) -> QueueId {
        let tenant = tenant(name);
        let id = self.queues.queue_of(&TenantQuota {
            tenant: &tenant,
            limits,
        });
        self.arrivals += 1;
        self.queues.push(id, kind, self.arrivals, name, self.now);
        id
    }

    fn serve(&mut self, open: &Open) -> Option<&'static str> {
        self.queues.serve(open, self.now).map(|next| next.waiter)
    }

    fn served(&mut self, count: usize) -> Vec<&'static str> {
        (0..count).map_while(|_| self.serve(&ALL_OPEN())).collect()
    }
}

#[test]
fn lanes_are_served_by_weight_and_not_by_length() {
    let mut queue = Queue::new();
    for _ in 0..1000 {
        queue.push("flood", weighing(1), Kind::Read);
    }
    for _ in 0..100 {
        queue.push("light", weighing(1), Kind::OtherWrite);
        queue.push("heavy", weighing(2), Kind::Create);
    }
    let served = queue.served(200);
    for (name, expected) in [("flood", 50), ("light", 50), ("heavy", 100)] {
        let count = served.iter().filter(|served| **served == name).count();
        assert!(count.abs_diff(expected) <= 1, "{name}: {count}");
    }
}

#[test]
fn who_comes_to_a_long_queue_waits_for_one_turn_and_not_for_the_queue() {
    let mut queue = Queue::new();
    for _ in 0..1000 {
        queue.push("flood", weighing(1), Kind::Read);
    }
    queue.served(17);
    queue.push("late", weighing(1), Kind::Read);
    let served = queue.served(2);
    assert!(served.contains(&"late"), "{served:?}");
}

#[test]
fn nobody_saves_up_turns_while_absent() {
    let mut queue = Queue::new();
    queue.push("absent", weighing(1), Kind::Read);
    queue.served(1);
    for _ in 0..100 {
        queue.push("present", weighing(1), Kind::Read);
    }
    queue.served(50);
    for _ in 0..100 {
        queue.push("absent", weighing(1), Kind::Read);
    }
    let served = queue.served(20);
    let count = served.iter().filter(|name| **name == "absent").count();
    assert!((9..=11).contains(&count), "{served:?}");
}

#[test]
fn a_lane_that_its_own_limits_blocked_has_lost_those_turns() {
    let mut queue = Queue::new();
    let limits = TenantLimits {
        concurrent: Some(1),
        ..TenantLimits::default()
    };
    let mut limited = None;
    for _ in 0..100 {
        limited = Some(queue.push("limited", limits, Kind::Read));
        queue.push("free", weighing(1), Kind::Read);
    }
    let served = queue.served(40);
    assert_eq!(served.iter().filter(|name| **name == "limited").count(), 1);
    queue.queues.leave(limited.unwrap(), queue.now);
    let served = queue.served(2);
    assert!(
        served.contains(&"limited") && served.contains(&"free"),
        "{served:?}"
    );
}

#[test]
fn a_lane_whose_own_window_is_full_goes_on_when_it_opens() {
    let mut queue = Queue::new();
    let limits = TenantLimits {
        requests: Some(1),
        ..TenantLimits::default()
    };
    let id = queue.push("limited", limits, Kind::Read);
    queue.push("limited", limits, Kind::Read);
    assert_eq!(queue.served(2), ["limited"]);
    assert_eq!(
        queue.queues.unblocks_at(),
        None,
        "what is not sent yet does not expire"
    );
    queue.queues.stamp(id, queue.now);
    assert_eq!(queue.queues.unblocks_at(), Some(queue.now + SPAN));
    queue.now += SPAN;
    queue.queues.unblock(queue.now);
    assert_eq!(queue.served(2), ["limited"]);
}

#[test]
fn exhausted_creates_do_not_block_reads() {
    let mut queue = Queue::new();
    let no_creates = ByKind::new(|kind| kind != Kind::Create);
    for _ in 0..10 {
        queue.push("a", weighing(1), Kind::Create);
    }
    queue.push("b", weighing(1), Kind::Read);
    queue.push("a", weighing(1), Kind::Read);
    let mut served = [queue.serve(&no_creates), queue.serve(&no_creates)];
    served.sort_unstable();
    assert_eq!(served, [Some("a"), Some("b")]);
    assert_eq!(queue.serve(&no_creates), None);
    assert_eq!(queue.queues.waiting(), 10);
    assert_eq!(queue.serve(&ALL_OPEN()), Some("a"));
}

#[test]
fn the_position_counts_those_whom_the_fair_order_has_before() {
    let mut queue = Queue::new();
    for _ in 0..1000 {
        queue.push("flood", weighing(1), Kind::Read);
    }
    let heavy = queue.push("heavy", weighing(2), Kind::Read);
    let position = |queue: &Queue, id, ahead| queue.queues.position(id, ahead, &ALL_OPEN(), |_| false);
    assert_eq!(position(&queue, heavy, 0), 0);
    assert_eq!(
        position(&queue, heavy, 10),
        15,
        "ten of its own, and half as many"
    );
    let enough = queue
        .queues
        .position(heavy, 1000, &ALL_OPEN(), |position| position > 3);
    assert!(enough > 3, "it need not count to the end");
}

#[test]
fn a_lane_with_requests_of_several_kinds_has_no_more_turns_than_another() {
    let mut queue = Queue::new();
    for kind in Kind::ALL.into_iter().cycle().take(90) {
        queue.push("mixed", weighing(1), kind);
    }
    let id = queue.push("late", weighing(1), Kind::Read);
    let position = queue.queues.position(id, 10, &ALL_OPEN(), |_| false);
    assert_eq!(position, 20, "ten of its own and ten of the other");
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let mut queue = Queue::new();
    let id = queue.push("gone", weighing(1), Kind::Read);
    queue.push("waits", weighing(1), Kind::Read);
    queue.served(1);
    queue.queues.forget_idle(queue.now);
    assert_eq!(queue.queues.queues.len(), 2, "one waits, one is in flight");
    queue.served(1);
    queue.queues.give_back(id, queue.now);
    queue.queues.leave(id, queue.now);
    queue.queues.forget_idle(queue.now);
    assert_eq!((queue.queues.queues.len(), queue.queues.ids.len()), (1, 1));
}

proptest! {
    /// Between two moments at which both wait, no queue is ever more than a turn of each ahead of another.
    #[test]
    fn lanes_that_wait_are_never_more_than_a_turn_apart(
        weights in prop::array::uniform3(1..20u16),
        steps in prop::collection::vec((0..3usize, 0..4usize, 0..6usize), 1..200),
    ) {
        const NAMES: [&str; 3] = ["a", "b", "c"];
        let mut queue = Queue::new();
        // Enough that none of them runs out.
        for (name, weight) in NAMES.into_iter().zip(weights) {
            for _ in 0..1200 {
                queue.push(name, weighing(weight), Kind::Read);
            }
        }
        let mut served = [0_u32; 3];
        for (whose, pushed, count) in steps {
            for _ in 0..pushed {
                queue.push(NAMES[whose], weighing(weights[whose]), Kind::Read);
            }
            for name in queue.served(count) {
                served[NAMES.iter().position(|known| *known == name).unwrap()] += 1;
            }
            for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                let turns = |of: usize| f64::from(served[of]) / f64::from(weights[of]);
                let bound = 1.0 / f64::from(weights[one]) + 1.0 / f64::from(weights[other]);
                prop_assert!((turns(one) - turns(other)).abs() <= bound + 0.01, "{served:?} by {weights:?}");
            }
        }
    }
}
