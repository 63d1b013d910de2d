use super::*;
use crate::quota::limits::Limits;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> SharedLimits {
    SharedLimits {
        limits: Limits {
            requests: Some(60),
            concurrent: Some(5),
            ..Limits::default()
        },
        replicas: 2,
        span: 60 * SECOND,
        lease: 30 * SECOND,
        hold: 6 * SECOND,
    }
}

fn replica(now: Instant) -> ReplicaState {
    ReplicaState::new(limits(), "one".to_owned(), now)
}

/// One that Redis knows.
fn joined(now: Instant) -> ReplicaState {
    let mut replica = replica(now);
    replica.message(None, now).unwrap();
    replica.answered(Answer::Done, now);
    replica
}

const READ: Option<Wanted> = Some(Wanted {
    kind: Kind::Read,
    needs_slot: true,
});

/// Lets Redis admit a read, and takes what it gave.
fn admit(replica: &mut ReplicaState, now: Instant) -> Admit {
    let asked = replica.message(READ, now).unwrap().admit.unwrap();
    replica.answered(Answer::Admitted, now);
    assert!(replica.is_granted(Kind::Read) && replica.is_slot_granted());
    replica.take_slot(now);
    replica.reserve(Kind::Read);
    assert!(!replica.is_granted(Kind::Read) && !replica.is_slot_granted());
    asked
}

#[test]
fn nothing_goes_up_before_redis_was_told_and_the_share_after_all_has_run_out() {
    let start = Instant::now();
    let mut replica = replica(start);
    assert_eq!(replica.mode(start), Mode::Quiet);
    assert_eq!(
        replica.mode(start + 90 * SECOND),
        Mode::Alone,
        "redis was never there"
    );
    let message = replica.message(READ, start).unwrap();
    assert_eq!(
        (message.join, message.admit),
        (Some(ReplicaSnapshot::default()), None)
    );
    replica.answered(Answer::Done, start);
    assert_eq!(replica.mode(start), Mode::Together);

    replica.answered(Answer::Done, start + 10 * SECOND);
    replica.lost(Message::default());
    for (seconds, mode) in [(10, Mode::Quiet), (99, Mode::Quiet), (100, Mode::Alone)] {
        assert_eq!(replica.mode(start + seconds * SECOND), mode, "{seconds}");
    }
    assert_eq!(
        replica.quiet_until(start + 20 * SECOND),
        Some(start + 100 * SECOND),
        "60 seconds of history and 30 of a lease after the last answer"
    );
}

#[test]
fn what_is_told_is_under_the_names_that_redis_gave_room_to() {
    let now = Instant::now();
    let mut replica = joined(now);
    let first = admit(&mut replica, now);
    let second = admit(&mut replica, now);
    replica.stamp(Kind::Read, now);
    replica.give_back(Kind::Read);
    replica.free_slot();
    let told = replica.message(None, now).unwrap();
    let members =
        |requests: &[Request]| -> Vec<_> { requests.iter().map(|request| request.member.clone()).collect() };
    assert_eq!(members(&told.sent), [first.member]);
    assert_eq!(members(&told.returned), [second.member]);
    assert_eq!(
        told.left,
        [first.slot.unwrap()],
        "the oldest, so that what stays ends latest"
    );
    assert_eq!(replica.message(None, now), None, "nothing is told twice");
}

#[test]
fn a_redis_that_was_lost_is_told_all_that_is_held() {
    let start = Instant::now();
    let mut replica = joined(start);
    admit(&mut replica, start);
    replica.stamp(Kind::Read, start);
    let freed = admit(&mut replica, start + 5 * SECOND).slot;
    replica.free_slot();
    let unheard = replica.message(None, start + 5 * SECOND).unwrap();
    replica.lost(unheard);

    let told = replica.message(READ, start + 20 * SECOND).unwrap();
    assert!(told.admit.is_none() && told.sent.is_empty());
    assert_eq!(told.left.len(), 1, "what the lost message said is said again");
    let held = told.join.unwrap();
    let ages: Vec<_> = held
        .requests
        .iter()
        .map(|request| request.age / 1_000_000)
        .collect();
    assert_eq!(
        ages,
        [20, -6],
        "one sent, one that may be sent as late as it is held"
    );
    assert_eq!(held.slots.len(), 1);
    assert_eq!(Some(&held.slots[0].member), freed.as_ref());
    assert_eq!(held.slots[0].left, 15_000_000);

    replica.lost(Message::default());
    let later = replica.message(None, start + 61 * SECOND).unwrap().join.unwrap();
    assert_eq!(later.requests.len(), 1, "what no longer counts is not told");
}

#[test]
fn what_nobody_takes_is_given_back_at_once() {
    let now = Instant::now();
    let mut replica = joined(now);
    let asked = replica.message(READ, now).unwrap().admit.unwrap();
    replica.answered(Answer::Admitted, now);
    replica.return_unused();
    let told = replica.message(None, now).unwrap();
    assert_eq!(told.returned[0].member, asked.member);
    assert_eq!(told.left, [asked.slot.unwrap()]);
    assert!(told.join.is_none());
}

#[test]
fn redis_is_asked_again_when_there_may_be_room() {
    let now = Instant::now();
    let mut replica = joined(now);
    replica.message(READ, now).unwrap();
    assert!(!replica.askable(now).1, "one question at a time");
    replica.answered(Answer::Wait(40 * SECOND), now);
    let (kinds, _) = replica.askable(now);
    assert!(!kinds.of(Kind::Read) && *kinds.of(Kind::OtherWrite));
    assert_eq!(replica.room_at(Kind::Read), Some(now + 40 * SECOND));
    assert!(
        *replica.askable(now + SECOND).0.of(Kind::Read),
        "others may give back"
    );

    replica.message(READ, now).unwrap();
    replica.answered(Answer::Full, now);
    assert!(!replica.askable(now).1);
    assert!(replica.askable(now + FULL_POLL).1);
    assert!(replica.asks_at(now) <= now + FULL_POLL);
}

#[test]
fn a_redis_that_does_not_know_the_replica_is_told_what_it_holds() {
    let now = Instant::now();
    let mut replica = joined(now);
    replica.message(READ, now).unwrap();
    replica.answered(Answer::Join, now);
    assert_eq!(replica.mode(now), Mode::Quiet);
    assert!(replica.message(READ, now).unwrap().join.is_some());
}
