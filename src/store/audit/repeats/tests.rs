use std::sync::Arc;

use super::*;
use crate::contract::Operation;
use crate::store::audit::tests::{refusal, tenant};

fn numbered(number: u64, error: &'static str) -> AuditEntry {
    AuditEntry {
        error: Some(error),
        request_id: format!("req_{number}"),
        ..refusal()
    }
}

fn of_environment(number: usize) -> AuditEntry {
    AuditEntry {
        environment: EnvironmentId::parse(&format!("env_{number}")).ok(),
        ..numbered(0, "environment_not_found")
    }
}

/// A collection, and how late it is some seconds after its beginning. No clock on the wall has a part in it.
fn begin() -> (RepeatedRefusals, impl Fn(u64) -> Instant) {
    let start = Instant::now();
    (RepeatedRefusals::default(), move |seconds| {
        start + Duration::from_secs(seconds)
    })
}

fn summaries(entries: &[AuditEntry]) -> Vec<(&str, u64)> {
    entries
        .iter()
        .map(|entry| (entry.request_id.as_str(), entry.repeats))
        .collect()
}

#[test]
fn the_first_is_written_at_once_and_the_others_as_one_when_the_minute_is_over() {
    let (mut repeats, after) = begin();
    let first = repeats.note(numbered(0, "policy"), after(0)).unwrap();
    assert_eq!(summaries(&first), [("req_0", 1)]);
    for second in 1..=59 {
        let entries = repeats.note(numbered(second, "policy"), after(second)).unwrap();
        assert!(entries.is_empty());
    }
    assert!(repeats.take_due(after(59)).is_empty(), "the minute is not over");
    assert_eq!(summaries(&repeats.take_due(after(60))), [("req_59", 59)]);
    let next = repeats.note(numbered(61, "policy"), after(61)).unwrap();
    assert_eq!(summaries(&next), [("req_61", 1)]);
    assert!(repeats.take_due(after(200)).is_empty(), "it came once only");
}

#[test]
fn refusals_that_differ_in_anything_are_told_apart() {
    let (mut repeats, after) = begin();
    let differing = [
        numbered(0, "policy"),
        numbered(0, "violations"),
        AuditEntry {
            operation: AuditOperation::Write(Operation::Delete),
            ..numbered(0, "policy")
        },
        AuditEntry {
            environment: None,
            ..numbered(0, "policy")
        },
        AuditEntry {
            key: KeyId::parse("sk-eg-another1").unwrap(),
            ..numbered(0, "policy")
        },
        AuditEntry {
            tenant: Arc::new(tenant("ten_2")),
            ..numbered(0, "policy")
        },
    ];
    for entry in differing {
        assert_eq!(repeats.note(entry, after(0)).unwrap().len(), 1);
    }
}

#[test]
fn a_refusal_after_the_minute_brings_what_was_counted_with_it() {
    let (mut repeats, after) = begin();
    for second in [0, 1, 2] {
        repeats.note(numbered(second, "policy"), after(second)).unwrap();
    }
    let entries = repeats.note(numbered(70, "policy"), after(70)).unwrap();
    assert_eq!(summaries(&entries), [("req_2", 2), ("req_70", 1)]);
}

#[test]
fn at_the_end_all_that_was_counted_is_given() {
    let (mut repeats, after) = begin();
    repeats.note(numbered(0, "policy"), after(0)).unwrap();
    repeats.note(numbered(1, "policy"), after(1)).unwrap();
    repeats.note(numbered(1, "violations"), after(1)).unwrap();
    assert_eq!(summaries(&repeats.take_all()), [("req_1", 1)]);
}

#[test]
fn a_tenant_with_thousands_of_different_refusals_is_counted_and_takes_no_others_room() {
    let (mut repeats, after) = begin();
    let mut written = 0;
    for number in 0..5000 {
        written += repeats.note(of_environment(number), after(0)).unwrap().len();
    }
    assert_eq!(written, MAX_OF_ONE_TENANT + 1);
    assert!(
        repeats.note(of_environment(7), after(1)).unwrap().is_empty(),
        "this one is known"
    );
    let another = AuditEntry {
        tenant: Arc::new(tenant("ten_2")),
        ..of_environment(1)
    };
    assert_eq!(repeats.note(another, after(1)).unwrap().len(), 1);

    let due = repeats.take_due(after(60));
    let rest: Vec<_> = due.iter().filter(|entry| entry.environment.is_none()).collect();
    assert_eq!(rest.len(), 1, "the rest has one entry");
    assert_eq!(rest[0].repeats, 5000 - 257);
    assert_eq!(repeats.note(of_environment(4999), after(61)).unwrap().len(), 1);
}

#[test]
fn so_many_refusals_and_no_more_are_remembered_until_their_minute_is_over() {
    let (mut repeats, after) = begin();
    let of_tenant = |number: usize, environment| AuditEntry {
        tenant: Arc::new(tenant(&format!("ten_{number}"))),
        ..of_environment(environment)
    };
    for number in 0..MAX_IN_ALL {
        repeats.note(of_tenant(number, 0), after(0)).unwrap();
    }
    assert_eq!(repeats.note(of_tenant(1, 1), after(1)).unwrap_err(), Full);
    assert!(repeats.note(of_tenant(1, 0), after(1)).unwrap().is_empty());
    repeats.take_due(after(60));
    assert_eq!(repeats.note(of_tenant(1, 1), after(61)).unwrap().len(), 1);
}
