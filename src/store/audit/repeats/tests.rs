use super::*;
use crate::contract::Operation;
use crate::store::audit::tests::refusal;

const START: Timestamp = Timestamp::constant(1_780_048_800, 0);

fn after(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

fn at(seconds: i64, error: &'static str) -> AuditEntry {
    AuditEntry {
        at: after(seconds),
        error: Some(error),
        request_id: format!("req_{seconds}"),
        ..refusal()
    }
}

fn told(entries: &[AuditEntry]) -> Vec<(&str, u64)> {
    entries
        .iter()
        .map(|entry| (entry.request_id.as_str(), entry.repeats))
        .collect()
}

#[test]
fn the_first_is_written_at_once_and_the_others_as_one_when_the_minute_is_over() {
    let mut repeats = Repeats::default();
    assert_eq!(told(&repeats.note(at(0, "policy")).unwrap()), [("req_0", 1)]);
    for second in 1..=59 {
        assert!(repeats.note(at(second, "policy")).unwrap().is_empty());
    }
    assert!(
        repeats.take_due(after(59), 10).is_empty(),
        "the minute is not over"
    );
    assert_eq!(told(&repeats.take_due(after(60), 10)), [("req_59", 59)]);
    assert_eq!(told(&repeats.note(at(61, "policy")).unwrap()), [("req_61", 1)]);
    assert!(repeats.take_due(after(200), 10).is_empty(), "it came once only");
}

#[test]
fn refusals_that_differ_in_anything_are_told_apart() {
    let mut repeats = Repeats::default();
    let differing = [
        at(0, "policy"),
        at(0, "violations"),
        AuditEntry {
            operation: AuditOperation::Write(Operation::Delete),
            ..at(0, "policy")
        },
        AuditEntry {
            environment: None,
            ..at(0, "policy")
        },
        AuditEntry {
            key: KeyId::parse("sk-eg-another1").unwrap(),
            ..at(0, "policy")
        },
    ];
    for entry in differing {
        assert_eq!(repeats.note(entry).unwrap().len(), 1);
    }
}

#[test]
fn a_refusal_after_the_minute_brings_what_was_counted_with_it() {
    let mut repeats = Repeats::default();
    for second in [0, 1, 2] {
        repeats.note(at(second, "policy")).unwrap();
    }
    assert_eq!(
        told(&repeats.note(at(70, "policy")).unwrap()),
        [("req_2", 2), ("req_70", 1)]
    );
}

#[test]
fn no_more_is_given_at_once_than_there_is_room_for() {
    let mut repeats = Repeats::default();
    for error in ["policy", "violations", "document"] {
        repeats.note(at(0, error)).unwrap();
        repeats.note(at(1, error)).unwrap();
    }
    assert_eq!(repeats.take_due(after(60), 2).len(), 2);
    assert_eq!(repeats.take_due(after(60), 2).len(), 1);
}

#[test]
fn at_the_end_all_that_was_counted_is_given() {
    let mut repeats = Repeats::default();
    repeats.note(at(0, "policy")).unwrap();
    repeats.note(at(1, "policy")).unwrap();
    repeats.note(at(1, "violations")).unwrap();
    assert_eq!(told(&repeats.take_all()), [("req_1", 1)]);
}

#[test]
fn so_many_different_refusals_and_no_more_are_remembered_until_their_minute_is_over() {
    let mut repeats = Repeats::default();
    let numbered = |number: usize, second: i64| AuditEntry {
        environment: EnvironmentId::parse(&format!("env_{number}")).ok(),
        ..at(second, "environment_not_found")
    };
    for number in 0..MOST_REFUSALS {
        repeats.note(numbered(number, 0)).unwrap();
    }
    assert_eq!(repeats.note(numbered(MOST_REFUSALS, 1)).unwrap_err(), Full);
    assert!(
        repeats.note(numbered(7, 1)).unwrap().is_empty(),
        "this one is known"
    );
    repeats.take_due(after(60), 10);
    assert_eq!(repeats.note(numbered(MOST_REFUSALS, 61)).unwrap().len(), 1);
}
