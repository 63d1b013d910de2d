//! An upstream that changes its contract and floods names: nobody notices but whoever asks.

use serde_json::{Value, json};

use super::{PATH, changed, environment, findings, native, replies, upstream};
use crate::common::envgate::{Envgate, eventually, pause};

/// So many names, in replies of so many.
const NAMES: usize = 100_000;
const NAMES_OF_A_REPLY: usize = 1000;
const MOST_GROWTH: usize = 5 << 20;

/// What the upstream answers, by what it is asked to: an environment with as many unknown names, or with as many bytes
/// that nobody has an opinion of.
fn answer(sent: &Value) -> String {
    let asked = sent["description"].as_str().unwrap_or_default();
    let number = |text: &str| text.parse::<usize>().unwrap();
    match asked.split(' ').collect::<Vec<_>>()[..] {
        ["flood", from, count] => environment(|environment| {
            for name in number(from)..number(from) + number(count) {
                environment[format!("field_{name:06}")] = json!("planted");
            }
        }),
        ["quiet", bytes] => environment(|environment| environment["name"] = "x".repeat(number(bytes)).into()),
        _ => changed(),
    }
}

/// Asks for an answer, which must be the upstream's byte for byte.
fn ask(envgate: &Envgate, what: &str) -> usize {
    let sent = json!({ "description": what });
    let answered = envgate.post(PATH, &sent.to_string());
    assert_eq!(answered.status, 200);
    assert!(answered.text() == answer(&sent), "{what}: the reply was changed");
    answered.body.len()
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
    let bytes = ask(&envgate, &format!("flood 0 {NAMES_OF_A_REPLY}"));
    let all_bytes = answer(&json!({ "description": format!("flood 0 {NAMES}") })).len();
    asked += 1;
    for _ in 0..NAMES / NAMES_OF_A_REPLY {
        ask(&envgate, &format!("quiet {bytes}"));
        asked += 1;
    }
    for _ in 0..3 {
        ask(&envgate, &format!("quiet {all_bytes}"));
        asked += 1;
        settle(&envgate, asked);
    }
    let before = envgate.resident_bytes();

    for from in (0..NAMES).step_by(NAMES_OF_A_REPLY) {
        ask(&envgate, &format!("flood {from} {NAMES_OF_A_REPLY}"));
        asked += 1;
        if from % (NAMES / 10) == 0 {
            for _ in 0..3 {
                ask(&envgate, "change");
                asked += 1;
                pause(std::time::Duration::from_millis(150));
            }
        }
    }
    ask(&envgate, &format!("flood 0 {NAMES}"));
    asked += 1;
    settle(&envgate, asked);
    let growth = envgate.resident_bytes().saturating_sub(before);
    assert!(growth < MOST_GROWTH, "memory grew by {growth} bytes");

    let found = findings(&envgate);
    let has = |kind: &str, pointer: &str| found.iter().any(|(k, p, ..)| k == kind && p == pointer);
    assert!(has("unknown_field", "/state"), "{found:?}");
    assert!(has("missing_field", "/config/packages/go"), "{found:?}");
    assert!(has("unknown_value", "/config/networking/type"), "{found:?}");
    let remainder = found.iter().find(|(kind, ..)| kind == "remainder").unwrap();
    assert!((1..=1_000_000).contains(&remainder.3), "{remainder:?}");
    assert!(found.len() <= 257, "{}", found.len());
}
