//! An upstream that changes its contract and floods names: nobody notices but whoever asks.

use std::time::Duration;

use serde_json::{Value, json};

use super::{PATH, changed, environment, findings, native, replies, upstream};
use crate::common::envgate::{Envgate, eventually, eventually_within, pause};

/// So many names, in replies of so many.
const NAMES: usize = 100_000;
const NAMES_OF_A_REPLY: usize = 1000;
const MOST_GROWTH: usize = 5 << 20;
/// The allocator gives back what nobody has used for ten seconds.
const GIVEN_BACK: Duration = Duration::from_secs(12);

/// What the upstream answers, by what it is asked to: an environment with as many unknown names, or with as many pairs in
/// its metadata, of whose names nobody has an opinion.
fn answer(sent: &Value) -> String {
    let asked = sent["description"].as_str().unwrap_or_default();
    let number = |text: &str| text.parse::<usize>().unwrap();
    match asked.split(' ').collect::<Vec<_>>()[..] {
        ["flood", from, count] => environment(|environment| {
            for name in number(from)..number(from) + number(count) {
                environment[format!("field_{name:06}")] = json!("planted");
            }
        }),
        ["quiet", count] => environment(|environment| {
            let pairs = (0..number(count)).map(|name| (format!("field_{name:06}"), json!("planted")));
            environment["metadata"] = Value::Object(pairs.collect());
        }),
        _ => changed(),
    }
}

/// Asks for an answer, which must be the upstream's byte for byte.
fn ask(envgate: &Envgate, what: &str) {
    let sent = json!({ "description": what });
    let answered = envgate.post(PATH, &sent.to_string());
    assert_eq!(answered.status, 200);
    assert!(answered.text() == answer(&sent), "{what}: the reply was changed");
}

/// Waits until all that was asked for was looked at, and what was found is in the store.
fn settle(envgate: &Envgate, asked: usize) {
    let all = f64::from(u32::try_from(asked).unwrap());
    eventually("all replies were looked at", || {
        (replies(envgate) - all).abs() < f64::EPSILON
    });
    findings(envgate);
}

#[test]
fn a_flood_of_names_changes_no_reply_and_takes_no_memory() {
    let upstream = upstream(answer);
    let envgate = native(&upstream).start();
    let mut asked = 0;
    // The same traffic without the names, so that all buffers are there.
    for _ in 0..NAMES / NAMES_OF_A_REPLY {
        ask(&envgate, &format!("quiet {NAMES_OF_A_REPLY}"));
        asked += 1;
    }
    for _ in 0..3 {
        ask(&envgate, &format!("quiet {NAMES}"));
        asked += 1;
        settle(&envgate, asked);
    }
    pause(GIVEN_BACK);
    let before = envgate.resident_bytes();

    for from in (0..NAMES).step_by(NAMES_OF_A_REPLY) {
        ask(&envgate, &format!("flood {from} {NAMES_OF_A_REPLY}"));
        asked += 1;
        if from % (NAMES / 10) == 0 {
            for _ in 0..3 {
                ask(&envgate, "change");
                asked += 1;
                pause(Duration::from_millis(150));
            }
        }
    }
    ask(&envgate, &format!("flood 0 {NAMES}"));
    asked += 1;
    settle(&envgate, asked);
    let growth = || envgate.resident_bytes().saturating_sub(before);
    eventually_within("what was used for a moment is given back", GIVEN_BACK * 2, || {
        growth() < MOST_GROWTH
    });

    let found = findings(&envgate);
    let has = |kind: &str, pointer: &str| found.iter().any(|(k, p, ..)| k == kind && p == pointer);
    assert!(has("unknown_field", "/state"), "{found:?}");
    assert!(has("missing_field", "/config/packages/go"), "{found:?}");
    assert!(has("unknown_value", "/config/networking/type"), "{found:?}");
    let remainder = found.iter().find(|(kind, ..)| kind == "remainder").unwrap();
    assert!((1..=1_000_000).contains(&remainder.3), "{remainder:?}");
    assert!(found.len() <= 257, "{}", found.len());
}
