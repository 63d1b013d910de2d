//! Replicas that share a budget, as they are, on a real Redis, with clocks that the test moves: whatever
//! comes, goes, dies, is cut off or forgets, in whatever order, no more goes up than the limit.

mod event;

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use envgate_test_servers::redis::Redis;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use redis::{Connection, Script};
use tokio::time::Instant;

use event::{Event, MOST_ALIVE, event};

use super::admission::{Admission, Ticket};
use super::limits::{Kind, Limits, Rate, TenantLimits, TenantQuota};
use super::shared::{AcceptedCounts, Answer, Message, ReplicaState, SCRIPT, SharedLimits, Signed};
use crate::tenancy::TenantId;

const SECOND: Duration = Duration::from_secs(1);
const SPAN: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(30);
const LIMITS: Limits = Limits {
    requests: Some(16),
    concurrent: Some(5),
    creates: None,
    writes: None,
    reads: Some(12),
};
const REPLICAS: u32 = 2;
/// Longer than a replica waits with its next message.
const STEP: Duration = Duration::from_millis(2500);

fn shared_limits() -> SharedLimits {
    SharedLimits {
        limits: LIMITS,
        learn: true,
        replicas: REPLICAS,
        span: SPAN,
        lease: LEASE,
        hold: 6 * SECOND,
        alone: 200 * SECOND,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Whole,
    Cut,
    OneWay,
}

/// A gateway's budget as its tasks would drive it.
struct Replica {
    name: String,
    admission: Admission<u64>,
    tickets: HashMap<u64, Ticket>,
    in_flight: Vec<(Duration, Ticket)>,
    accepted: u32,
    wire: Wire,
}

struct World {
    connection: Connection,
    script: Script,
    key: String,
    began: Instant,
    elapsed: Duration,
    clock: i64,
    run: u32,
    started: u32,
    alive: Vec<Replica>,
    /// What died with its requests before the upstream: until when those are.
    orphans: Vec<Duration>,
    visits: u64,
    sent: Vec<(Duration, Kind)>,
    /// The highest limit of reads that anybody went by, and when.
    read_limits: Vec<(Duration, u32)>,
    /// When the clock of Redis jumped last, and when all that it knew was lost.
    jumped: Option<Duration>,
    emptied: Option<Duration>,
}

impl World {
    fn new(redis: &Redis, key: String) -> Self {
        let client = redis::Client::open(redis.url()).unwrap();
        let time = "redis.call('TIME')";
        assert_eq!(SCRIPT.matches(time).count(), 1);
        let mut world = Self {
            connection: client.get_connection().unwrap(),
            script: Script::new(&SCRIPT.replace(time, "{ ARGV[4], ARGV[5] }")),
            key,
            began: Instant::now(),
            elapsed: Duration::ZERO,
            clock: 1_800_000_000_000_000,
            run: 0,
            started: 0,
            alive: Vec::new(),
            orphans: Vec::new(),
            visits: 0,
            sent: Vec::new(),
            read_limits: Vec::new(),
            jumped: None,
            emptied: None,
        };
        for _ in 0..REPLICAS {
            world.start(Wire::Whole);
        }
        world.advance(3);
        world
    }

    fn now(&self) -> Instant {
        self.began + self.elapsed
    }

    fn start(&mut self, wire: Wire) {
        self.started += 1;
        let (name, now) = (format!("replica{}", self.started), self.now());
        let mut admission = Admission::new(&LIMITS, REPLICAS, SPAN, now);
        admission.share(ReplicaState::new(shared_limits(), name.clone(), now), now);
        self.alive.push(Replica {
            name,
            admission,
            tickets: HashMap::new(),
            in_flight: Vec::new(),
            accepted: 0,
            wire,
        });
    }

    /// Which of the alive a number picks.
    fn pick(&self, number: usize) -> Option<usize> {
        (!self.alive.is_empty()).then(|| number % self.alive.len())
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Advance(seconds) => self.advance(*seconds),
            Event::Start { is_cut } if self.alive.len() < MOST_ALIVE => {
                self.start(if *is_cut { Wire::Cut } else { Wire::Whole });
            }
            Event::Stop(number) => self.stop(*number),
            Event::Crash(number) => {
                if let Some(index) = self.pick(*number) {
                    let dead = self.alive.swap_remove(index);
                    self.orphans
                        .extend(dead.in_flight.iter().map(|(until, _)| *until));
                }
            }
            Event::Cut(number) => self.rewire(*number, Wire::Cut),
            Event::CutAnswers(number) => self.rewire(*number, Wire::OneWay),
            Event::Mend(number) => self.rewire(*number, Wire::Whole),
            Event::RestartRedis => self.run += 1,
            Event::EmptyRedis => self.empty_redis(),
            Event::JumpClock(seconds) => {
                if self.is_settled(self.emptied)
                    && let Some(witness) = self.witness()
                {
                    self.jumped = Some(self.elapsed);
                    self.clock += seconds * 1_000_000;
                    self.pass(STEP);
                    self.drive(witness);
                }
            }
            Event::Refuse(number) => {
                if let Some(index) = self.pick(*number) {
                    let now = self.now();
                    let admission = &mut self.alive[index].admission;
                    admission.teach(Rate::Reads, Vec::new(), now);
                }
            }
            Event::Start { .. } => {}
        }
    }

    fn rewire(&mut self, number: usize, wire: Wire) {
        if let Some(index) = self.pick(number) {
            self.alive[index].wire = wire;
        }
    }

    /// A stop in order: what is in flight is over first.
    fn stop(&mut self, number: usize) {
        let Some(index) = self.pick(number) else { return };
        let now = self.now();
        let mut replica = self.alive.swap_remove(index);
        for (_, ticket) in replica.in_flight.drain(..) {
            replica.admission.leave(ticket.queue, true, now);
        }
        let message = replica.admission.replica().unwrap().leave(now);
        self.tell(&mut replica, message);
    }

    /// That nobody who was there before is left to tell an empty Redis is more than any protocol could bear.
    fn empty_redis(&mut self) {
        if !self.is_settled(self.jumped) {
            return;
        }
        let Some(witness) = self.witness() else { return };
        self.emptied = Some(self.elapsed);
        self.run += 1;
        redis::cmd("FLUSHALL").exec(&mut self.connection).unwrap();
        self.pass(STEP);
        self.drive(witness);
    }

    /// Whether whatever happened `since` then counts no more. A clock that jumps, and the loss of all that was known of
    /// the jump, are more than the protocol bears in one such time: docs/budget.md says so.
    fn is_settled(&self, since: Option<Duration>) -> bool {
        since.is_none_or(|since| self.elapsed > since + shared_limits().alone + 2 * SPAN)
    }

    fn pass(&mut self, step: Duration) {
        self.elapsed += step;
        self.clock += i64::try_from(step.as_micros()).unwrap();
    }

    /// One that has been there before and is heard now.
    fn witness(&mut self) -> Option<usize> {
        self.alive.iter_mut().position(|replica| {
            let is_whole = replica.wire == Wire::Whole;
            is_whole && replica.admission.replica().unwrap().is_known()
        })
    }

    fn advance(&mut self, seconds: u64) {
        let end = self.elapsed + Duration::from_secs(seconds);
        while self.elapsed < end {
            self.pass(STEP.min(end - self.elapsed));
            for index in 0..self.alive.len() {
                self.drive(index);
            }
            self.assert_in_flight();
        }
    }

    /// Lets a replica do all that it can at this moment, and keeps clients waiting at it.
    fn drive(&mut self, index: usize) {
        let (now, elapsed) = (self.now(), self.elapsed);
        let tenant = TenantId("tenant".to_owned());
        let quota = TenantQuota {
            tenant: &tenant,
            limits: TenantLimits::default(),
        };
        // What it knows lasts over this, which borrows the world.
        let mut replica = self.alive.swap_remove(index);
        let over = |(until, _): &(Duration, Ticket)| *until <= elapsed;
        for (_, ticket) in replica.in_flight.extract_if(.., |flight| over(flight)) {
            replica.admission.leave(ticket.queue, true, now);
        }
        for _ in 0..40 {
            while replica.admission.waiting() < 4 {
                self.visits += 1;
                let kind = [Kind::Read, Kind::Read, Kind::Read, Kind::OtherWrite];
                let kind = kind[usize::try_from(self.visits % 4).unwrap()];
                let arrived = replica.admission.arrive(&quota, kind, self.visits, SPAN, now);
                replica.tickets.insert(self.visits, arrived.unwrap());
            }
            let mut admitted = Vec::new();
            replica.admission.dispatch(now, |visit| admitted.push(visit));
            for visit in admitted {
                let ticket = replica.tickets.remove(&visit).unwrap();
                replica.admission.sent(ticket.kind, now);
                replica.admission.sent_own(ticket.queue, now);
                replica.accepted += u32::from(ticket.kind == Kind::Read);
                self.sent.push((elapsed, ticket.kind));
                let stay = Duration::from_secs(visit * 7 % 29);
                replica.in_flight.push((elapsed + stay, ticket));
            }
            let Some(message) = replica.admission.question(now) else {
                break;
            };
            if !self.tell(&mut replica, message) {
                break;
            }
        }
        let limit = replica.admission.limits(now).reads.unwrap();
        self.read_limits.push((elapsed, limit));
        self.alive.push(replica);
        let last = self.alive.len() - 1;
        self.alive.swap(index, last);
    }

    /// Whether an answer came back.
    fn tell(&mut self, replica: &mut Replica, mut message: Message) -> bool {
        let now = self.now();
        message.accepted = AcceptedCounts {
            reads: std::mem::take(&mut replica.accepted),
            writes: 0,
        };
        let answer = (replica.wire != Wire::Cut).then(|| self.invoke(&replica.name, &message));
        let state = replica.admission.replica().unwrap();
        match (answer, replica.wire) {
            (Some(answer), Wire::Whole) => {
                state.answered(answer, now);
                true
            }
            _ => {
                state.lost(message, now);
                false
            }
        }
    }

    fn invoke(&mut self, replica: &str, message: &Message) -> Answer {
        let answer: String = self
            .script
            .key(&self.key)
            .arg(serde_json::to_string(&shared_limits()).unwrap())
            .arg(serde_json::to_string(&Signed { replica, message }).unwrap())
            .arg(format!("run{}", self.run))
            .arg(self.clock / 1_000_000)
            .arg(self.clock % 1_000_000)
            .invoke(&mut self.connection)
            .unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn assert_in_flight(&self) {
        let alive = self.alive.iter().flat_map(|replica| replica.in_flight.iter());
        let until = alive.map(|(until, _)| until).chain(&self.orphans);
        let in_flight = until.filter(|until| **until > self.elapsed).count();
        assert!(in_flight <= 5, "{in_flight} in flight at {:?}", self.elapsed);
    }

    fn assert_windows(&self) {
        let times = |counts: &dyn Fn(Kind) -> bool| -> Vec<Duration> {
            let sent = self.sent.iter().filter(|(_, kind)| counts(*kind));
            sent.map(|(at, _)| *at).collect()
        };
        let requests = times(&|_| true);
        for (first, one_too_many) in requests.iter().zip(requests.iter().skip(16)) {
            assert!(
                *one_too_many - *first >= SPAN,
                "17 requests from {first:?} to {one_too_many:?}"
            );
        }
        let reads = times(&|kind| kind == Kind::Read);
        for at in &reads {
            let in_window = |since: Duration| *at < since + SPAN && since <= *at;
            let count = reads.iter().filter(|since| in_window(**since)).count();
            // Who was cut off before a limit was learned does not know of it for as long as it goes on.
            let since = at.saturating_sub(shared_limits().alone + 2 * SPAN);
            let known = self
                .read_limits
                .iter()
                .filter(|(when, _)| (since..=*at).contains(when));
            let limit = known.map(|(_, limit)| *limit).max().unwrap();
            assert!(
                count <= usize::try_from(limit).unwrap(),
                "{count} reads before {at:?}, {limit} were allowed"
            );
        }
    }

    fn count_since(&self, since: Duration) -> usize {
        self.sent.iter().filter(|(at, _)| *at > since).count()
    }
}

#[test]
fn no_interleaving_of_what_can_happen_to_replicas_and_redis_lets_more_up_than_the_limit() {
    let redis = Redis::start();
    let number = Cell::new(0);
    // The same cases each time: a change is judged by what it changes.
    let config = ProptestConfig {
        cases: 60,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let worlds = prop::collection::vec(event(), 5..60);
    let outcome = runner.run(&worlds, |events| {
        number.set(number.get() + 1);
        let mut world = World::new(&redis, format!("{{budget{}}}", number.get()));
        for event in &events {
            world.happen(event);
        }
        world.assert_windows();
        // Every standstill ends: by then all that was cut off, or has died, has run out.
        world.alive.clear();
        world.start(Wire::Whole);
        world.advance(400);
        let before = world.elapsed;
        world.advance(120);
        world.assert_windows();
        prop_assert!(world.count_since(before) >= 16, "nothing goes up any more");
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
