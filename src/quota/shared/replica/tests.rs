use std::collections::HashSet;

use super::*;
use crate::quota::shared::message::{HeldRequest, LearnedLimit, LearnedLimits, ReplicaSnapshot, Request};

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> SharedLimits {
    SharedLimits {
        limits: Limits {
            requests: Some(60),
            concurrent: Some(5),
            ..Limits::default()
        },
        learn: true,
        replicas: 2,
        span: 60 * SECOND,
        lease: 30 * SECOND,
        hold: 6 * SECOND,
        alone: 600 * SECOND,
    }
}

fn replica(now: Instant) -> ReplicaState {
    ReplicaState::new(limits(), "one".to_owned(), now)
}

/// An answer to one that has a seat.
fn says(word: Word) -> Answer {
    Answer {
        word,
        at: "1000".to_owned(),
        seat: Some(1),
        ..Answer::default()
    }
}

/// An answer to what was asked for.
fn results(results: &[AdmitResult]) -> Answer {
    Answer {
        results: results.to_vec(),
        ..says(Word::Done)
    }
}

/// One that Redis knows.
fn joined(now: Instant) -> ReplicaState {
    let mut replica = replica(now);
    replica.message(&[], now).unwrap();
    replica.answered(says(Word::Done), now);
    replica
}

const READ: &[Wanted] = &[Wanted {
    kind: Kind::Read,
    needs_slot: true,
}];

/// Lets Redis admit a read, and takes what it gave.
fn admit(replica: &mut ReplicaState, now: Instant) -> Admit {
    let asked = replica.message(READ, now).unwrap().admit.remove(0);
    replica.answered(results(&[AdmitResult::Admitted]), now);
    assert!(replica.is_granted(Kind::Read) && replica.is_slot_granted());
    replica.take_slot(now);
    replica.reserve(Kind::Read);
    assert!(!replica.is_granted(Kind::Read) && !replica.is_slot_granted());
    asked
}

#[test]
fn one_without_a_seat_sends_nothing_while_redis_is_away() {
    let start = Instant::now();
    let mut replica = replica(start);
    for seconds in [0, 90, 1000] {
        let now = start + seconds * SECOND;
        assert_eq!(replica.mode(now), Mode::Stopped, "redis was never there");
    }
    assert!(!replica.is_given_up(start + SECOND) && replica.is_given_up(start + 2 * SECOND));
    let message = replica.message(READ, start).unwrap();
    assert_eq!(
        (message.join, message.admit),
        (Some(ReplicaSnapshot::default()), Vec::new())
    );
    let surplus = Answer {
        seat: None,
        present: 3,
        ..says(Word::Done)
    };
    replica.answered(surplus, start);
    assert_eq!((replica.mode(start), replica.present()), (Mode::Together, 3));
    replica.lost(Message::default(), start);
    for seconds in [0, 91, 1000] {
        assert_eq!(replica.mode(start + seconds * SECOND), Mode::Stopped, "{seconds}");
    }
}

#[test]
fn one_with_a_seat_goes_by_its_share_after_all_has_run_out_and_not_for_ever() {
    let start = Instant::now();
    let mut replica = joined(start);
    replica.message(&[], start + 10 * SECOND).unwrap();
    replica.answered(says(Word::Done), start + 11 * SECOND);
    replica.lost(Message::default(), start + 11 * SECOND);
    for (seconds, mode) in [
        (11, Mode::Quiet),
        (100, Mode::Quiet),
        (101, Mode::Alone),
        (609, Mode::Alone),
        (610, Mode::Stopped),
        (10_000, Mode::Stopped),
    ] {
        assert_eq!(replica.mode(start + seconds * SECOND), mode, "{seconds}");
    }
    assert_eq!(
        replica.quiet_until(start + 20 * SECOND),
        Some(start + 101 * SECOND),
        "60 seconds of history and 30 of a lease after the last answer"
    );
    let seat = |replica: &mut ReplicaState, seconds| {
        let message = replica.message(&[], start + seconds * SECOND).unwrap();
        let seat = message.join.clone().unwrap().seat;
        replica.lost(message, start + seconds * SECOND);
        seat
    };
    assert_eq!(seat(&mut replica, 675), Some(1), "it is still its own");
    assert_eq!(seat(&mut replica, 676), None, "by now another may have it");
}

#[test]
fn one_that_has_left_does_nothing_more() {
    let now = Instant::now();
    let mut replica = joined(now);
    replica.lost(Message::default(), now);
    let message = replica.leave(now);
    assert!(
        message.leave && message.join.is_some(),
        "all that it held is told"
    );
    assert_eq!(replica.mode(now), Mode::Stopped);
    assert_eq!(replica.message(READ, now + 5 * SECOND), None);
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
    let told = replica.message(&[], now).unwrap();
    let members =
        |requests: &[Request]| -> Vec<_> { requests.iter().map(|request| request.member.clone()).collect() };
    assert_eq!(members(&told.sent), [first.member]);
    assert_eq!(members(&told.returned), [second.member]);
    assert_eq!(
        told.left,
        [first.slot.unwrap()],
        "the oldest, so that what stays ends latest"
    );
    assert_eq!(replica.message(&[], now), None, "nothing is told twice");
}

#[test]
fn a_redis_that_was_lost_is_told_all_that_is_held() {
    let start = Instant::now();
    let mut replica = joined(start);
    admit(&mut replica, start);
    replica.stamp(Kind::Read, start);
    let freed = admit(&mut replica, start + 5 * SECOND).slot;
    replica.free_slot();
    let unheard = replica.message(&[], start + 5 * SECOND).unwrap();
    replica.lost(unheard, start + 5 * SECOND);

    let told = replica.message(READ, start + 20 * SECOND).unwrap();
    assert!(told.admit.is_empty() && told.sent.is_empty());
    assert_eq!(told.left.len(), 1, "what the lost message said is said again");
    assert_eq!(
        (told.answered_at.as_deref(), told.elapsed),
        (Some("1000"), Some(15_000_000)),
        "since the last answer was asked for"
    );
    let held = told.join.unwrap();
    let age = |request: &HeldRequest| request.age / 1_000_000;
    let ages: Vec<_> = held.requests.iter().map(age).collect();
    assert_eq!(
        ages,
        [20, -6],
        "one sent, one that may be sent as late as it is held"
    );
    assert_eq!(held.slots.len(), 1);
    assert_eq!(Some(&held.slots[0].member), freed.as_ref());
    assert_eq!(held.slots[0].left, 15_000_000);
    assert_eq!((held.seat, held.is_known), (Some(1), true));

    replica.lost(Message::default(), start + 20 * SECOND);
    let later = replica.message(&[], start + 61 * SECOND).unwrap().join.unwrap();
    assert_eq!(later.requests.len(), 1, "what no longer counts is not told");
}

#[test]
fn what_nobody_takes_is_given_back_at_once() {
    let now = Instant::now();
    let mut replica = joined(now);
    let asked = replica.message(READ, now).unwrap().admit.remove(0);
    replica.answered(results(&[AdmitResult::Admitted]), now);
    replica.return_unused();
    let told = replica.message(&[], now).unwrap();
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
    replica.answered(results(&[AdmitResult::Wait(40 * SECOND)]), now);
    let (kinds, _) = replica.askable(now);
    assert!(!kinds.of(Kind::Read) && *kinds.of(Kind::OtherWrite));
    assert_eq!(replica.room_at(Kind::Read), Some(now + 40 * SECOND));
    assert!(
        *replica.askable(now + SECOND).0.of(Kind::Read),
        "others may give back"
    );

    replica.message(READ, now).unwrap();
    replica.answered(results(&[AdmitResult::Full]), now);
    assert!(!replica.askable(now).1);
    assert!(replica.askable(now + FULL_POLL).1);
    assert!(replica.asks_at(now) <= now + FULL_POLL);
}

#[test]
fn a_redis_that_does_not_know_the_replica_is_told_what_it_holds() {
    let now = Instant::now();
    let mut replica = joined(now);
    replica.message(READ, now).unwrap();
    replica.answered(says(Word::Join), now);
    assert_eq!(replica.mode(now), Mode::Quiet);
    assert!(replica.message(READ, now).unwrap().join.is_some());
}

#[test]
fn what_all_have_learned_holds_alone_until_it_must_be_over_where_nothing_else_does() {
    let now = Instant::now();
    let mut replica = joined(now);
    replica.teach(Rate::Reads);
    assert_eq!(replica.message(&[], now).unwrap().refused, ["reads"]);
    let learned = LearnedLimits {
        reads: Some(LearnedLimit {
            limit: 33,
            taught: 30,
            age: 20_000_000,
        }),
        writes: None,
    };
    let answer = Answer {
        learned,
        ..says(Word::Done)
    };
    replica.answered(answer, now + 20 * SECOND);
    replica.lost(Message::default(), now + 20 * SECOND);
    let configured = limits().limits;
    let lowered = replica.lower(&configured, now + 20 * SECOND);
    assert_eq!((lowered.requests, lowered.reads), (Some(60), Some(33)));
    // 36, 39, 42, 46, 50, 55, 60
    let end = now + 7 * 60 * SECOND;
    assert_eq!(replica.lower(&configured, end - SECOND).reads, Some(33));
    assert_eq!(replica.lower(&configured, end).reads, None);
    let configured = Limits {
        reads: Some(40),
        ..configured
    };
    assert_eq!(replica.lower(&configured, end).reads, Some(33));
}

#[test]
fn as_many_are_asked_for_at_once_as_there_was_room_for() {
    let now = Instant::now();
    let mut replica = joined(now);
    for (results, most) in [
        (&[AdmitResult::Admitted][..], 2),
        (&[AdmitResult::Admitted; 2], 4),
        (&[AdmitResult::Admitted], 4),
        (&[AdmitResult::Admitted; 64], 64),
        (&[AdmitResult::Admitted, AdmitResult::Full, AdmitResult::Full], 1),
        (
            &[
                AdmitResult::Admitted,
                AdmitResult::Admitted,
                AdmitResult::Wait(SECOND),
            ],
            2,
        ),
        (&[AdmitResult::Full], 1),
    ] {
        let wanted = READ.repeat(results.len());
        let asked = replica.message(&wanted, now).unwrap().admit;
        let members: HashSet<_> = asked.iter().map(|asked| &asked.member).collect();
        assert_eq!(members.len(), results.len(), "each has a name of its own");
        replica.answered(self::results(results), now);
        replica.return_unused();
        assert_eq!(replica.most_asked(), most, "{results:?}");
    }
}

#[test]
fn what_was_asked_for_in_vain_does_not_stay_taken() {
    let now = Instant::now();
    let mut replica = joined(now);
    let message = replica.message(&READ.repeat(2), now).unwrap();
    let asked = message.admit.clone();
    replica.lost(message, now);
    let told = replica.message(&[], now).unwrap();
    let returned: Vec<_> = told.returned.iter().map(|request| &request.member).collect();
    assert_eq!(
        returned,
        asked.iter().map(|asked| &asked.member).collect::<Vec<_>>()
    );
    let slots: Vec<_> = asked.iter().filter_map(|asked| asked.slot.clone()).collect();
    assert_eq!(told.left, slots);
}
