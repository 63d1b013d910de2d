use super::*;
use crate::quota::Limits;

const SECOND: Duration = Duration::from_secs(1);

fn terms() -> Terms {
    Terms {
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

fn sharing(now: Instant) -> Sharing {
    Sharing::new(terms(), "one".to_owned(), now)
}

/// One that Redis knows.
fn joined(now: Instant) -> Sharing {
    let mut sharing = sharing(now);
    sharing.message(None, now).unwrap();
    sharing.answered(Answer::Done, now);
    sharing
}

const READ: Option<Wanted> = Some(Wanted {
    kind: Kind::Read,
    needs_place: true,
});

/// Lets Redis admit a read, and takes what it gave.
fn admit(sharing: &mut Sharing, now: Instant) -> Admit {
    let asked = sharing.message(READ, now).unwrap().admit.unwrap();
    sharing.answered(Answer::Admitted, now);
    assert!(sharing.is_granted(Kind::Read) && sharing.is_place_granted());
    sharing.take_place(now);
    sharing.reserve(Kind::Read);
    assert!(!sharing.is_granted(Kind::Read) && !sharing.is_place_granted());
    asked
}

#[test]
fn nothing_goes_up_before_redis_was_told_and_the_share_after_all_has_run_out() {
    let start = Instant::now();
    let mut sharing = sharing(start);
    assert_eq!(sharing.mode(start), Mode::Quiet);
    assert_eq!(
        sharing.mode(start + 90 * SECOND),
        Mode::Alone,
        "redis was never there"
    );
    let message = sharing.message(READ, start).unwrap();
    assert_eq!((message.join, message.admit), (Some(Holdings::default()), None));
    sharing.answered(Answer::Done, start);
    assert_eq!(sharing.mode(start), Mode::Together);

    sharing.answered(Answer::Done, start + 10 * SECOND);
    sharing.lost(Message::default());
    for (seconds, mode) in [(10, Mode::Quiet), (99, Mode::Quiet), (100, Mode::Alone)] {
        assert_eq!(sharing.mode(start + seconds * SECOND), mode, "{seconds}");
    }
    assert_eq!(
        sharing.quiet_until(start + 20 * SECOND),
        Some(start + 100 * SECOND),
        "60 seconds of history and 30 of a lease after the last answer"
    );
}

#[test]
fn what_is_told_is_under_the_names_that_redis_gave_room_to() {
    let now = Instant::now();
    let mut sharing = joined(now);
    let first = admit(&mut sharing, now);
    let second = admit(&mut sharing, now);
    sharing.stamp(Kind::Read, now);
    sharing.give_back(Kind::Read);
    sharing.free_place();
    let told = sharing.message(None, now).unwrap();
    let members =
        |requests: &[Request]| -> Vec<_> { requests.iter().map(|request| request.member.clone()).collect() };
    assert_eq!(members(&told.sent), [first.member]);
    assert_eq!(members(&told.returned), [second.member]);
    assert_eq!(
        told.left,
        [first.place.unwrap()],
        "the oldest, so that what stays ends latest"
    );
    assert_eq!(sharing.message(None, now), None, "nothing is told twice");
}

#[test]
fn a_redis_that_was_lost_is_told_all_that_is_held() {
    let start = Instant::now();
    let mut sharing = joined(start);
    admit(&mut sharing, start);
    sharing.stamp(Kind::Read, start);
    let freed = admit(&mut sharing, start + 5 * SECOND).place;
    sharing.free_place();
    let unheard = sharing.message(None, start + 5 * SECOND).unwrap();
    sharing.lost(unheard);

    let told = sharing.message(READ, start + 20 * SECOND).unwrap();
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
    assert_eq!(held.places.len(), 1);
    assert_eq!(Some(&held.places[0].member), freed.as_ref());
    assert_eq!(held.places[0].left, 15_000_000);

    sharing.lost(Message::default());
    let later = sharing.message(None, start + 61 * SECOND).unwrap().join.unwrap();
    assert_eq!(later.requests.len(), 1, "what no longer counts is not told");
}

#[test]
fn what_nobody_takes_is_given_back_at_once() {
    let now = Instant::now();
    let mut sharing = joined(now);
    let asked = sharing.message(READ, now).unwrap().admit.unwrap();
    sharing.answered(Answer::Admitted, now);
    sharing.return_unused();
    let told = sharing.message(None, now).unwrap();
    assert_eq!(told.returned[0].member, asked.member);
    assert_eq!(told.left, [asked.place.unwrap()]);
    assert!(told.join.is_none());
}

#[test]
fn redis_is_asked_again_when_there_may_be_room() {
    let now = Instant::now();
    let mut sharing = joined(now);
    sharing.message(READ, now).unwrap();
    assert!(!sharing.askable(now).1, "one question at a time");
    sharing.answered(Answer::Wait(40 * SECOND), now);
    let (kinds, _) = sharing.askable(now);
    assert!(!kinds.of(Kind::Read) && *kinds.of(Kind::Change));
    assert_eq!(sharing.room_at(Kind::Read), Some(now + 40 * SECOND));
    assert!(
        *sharing.askable(now + SECOND).0.of(Kind::Read),
        "others may give back"
    );

    sharing.message(READ, now).unwrap();
    sharing.answered(Answer::Full, now);
    assert!(!sharing.askable(now).1);
    assert!(sharing.askable(now + FULL_POLL).1);
    assert!(sharing.asks_at(now) <= now + FULL_POLL);
}

#[test]
fn a_redis_that_does_not_know_the_replica_is_told_what_it_holds() {
    let now = Instant::now();
    let mut sharing = joined(now);
    sharing.message(READ, now).unwrap();
    sharing.answered(Answer::Join, now);
    assert_eq!(sharing.mode(now), Mode::Quiet);
    assert!(sharing.message(READ, now).unwrap().join.is_some());
}
