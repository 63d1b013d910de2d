use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::*;

fn traffic() -> Traffic {
    let tenant = |name: &str, rate: f64| {
        json!({"tenant": name, "requests": 9120, "refused": 31, "failed": 2, "waiting": 4,
               "per_second_10s": rate, "per_second_60s": rate, "refused_per_second_60s": 0.1})
    };
    let tenants: Vec<_> = (0..40)
        .map(|number| tenant(&format!("tenant-{number}"), 8.1))
        .collect();
    let told = json!({
        "at": "2026-11-26T19:30:00.000000Z", "since": "2026-11-26T18:00:00.000000Z",
        "requests": {"total": 120_345, "in_flight": 12, "per_second_10s": 101.4, "per_second_60s": 98.0},
        "refusals": [{"error": "schema_violation", "total": 210, "per_second_60s": 0.3}],
        "tenants_seen": 42,
        "tenants": tenants,
        "budgets": [{"budget": "default", "limits": {"writes": 300, "reads": 1200}, "learned": {"writes": 120},
                     "left": {"writes": 12}, "in_flight": 3, "queued": 4, "paused": false, "refused": 12}],
        "slowest": [{"operation": "update", "tenant": "acme", "status": 200, "duration_ms": 812.4,
                     "steps_ms": {"judge": 0.1, "upstream": 510.0}, "request_id": "req_1"}],
    });
    serde_json::from_value(told).unwrap()
}

fn text(traffic: Option<&Traffic>, problem: Option<&str>, width: usize, height: usize) -> Vec<String> {
    let view = View {
        place: "127.0.0.1:9090",
        traffic,
        problem,
        order: Order::Requests,
    };
    lines(&view, width, height)
        .into_iter()
        .map(|line| line.text)
        .collect()
}

#[test]
fn a_screen_of_any_size_is_filled_exactly() {
    let traffic = traffic();
    for (width, height) in [
        (80, 24),
        (40, 10),
        (200, 60),
        (10, 3),
        (1, 1),
        (0, 0),
        (80, 1),
        (3, 24),
    ] {
        for (traffic, problem) in [
            (Some(&traffic), None),
            (Some(&traffic), Some("gone")),
            (None, Some("gone")),
            (None, None),
        ] {
            let lines = text(traffic, problem, width, height);
            assert_eq!(lines.len(), height, "{width}x{height}");
            assert!(
                lines.iter().all(|line| line.width() == width),
                "{width}x{height}: {lines:?}"
            );
        }
    }
}

#[test]
fn the_usual_screen_shows_tenants_budgets_refusals_and_the_slowest() {
    let lines = text(Some(&traffic()), None, 80, 24);
    assert!(
        lines[0].starts_with("envgate 127.0.0.1:9090  101.4/s (60s: 98.0)  12 in flight"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("refused: schema_violation 0.3/s (210)"));
    let at = |wanted: &str| lines.iter().position(|line| line.contains(wanted)).unwrap();
    assert!(
        lines[at("default ")].contains("reads 1200, writes 12/300 (learnt 120)"),
        "{lines:#?}"
    );
    assert!(at("tenant-0 ") == at("TENANT    ") + 1);
    let slow = &lines[at("update ")];
    assert!(
        slow.contains("812.4") && slow.contains("upstream") && slow.contains("acme"),
        "{slow}"
    );
    assert!(lines[23].starts_with("q quit"));
}

#[test]
fn a_small_screen_shows_the_names_and_what_matters_most() {
    let lines = text(Some(&traffic()), None, 40, 10);
    let heading = lines.iter().position(|line| line.starts_with("TENANT")).unwrap();
    assert!(
        lines[heading].contains("REQ/S") && lines[heading].contains("WAITING"),
        "{lines:#?}"
    );
    assert!(lines[heading + 1].starts_with("tenant-0 "), "{lines:#?}");
}

#[test]
fn what_is_wrong_stands_above_what_was_told_last() {
    let lines = text(Some(&traffic()), Some("no gateway answers; trying again"), 80, 24);
    assert!(lines[1].starts_with("no gateway answers"));
    assert!(lines.iter().any(|line| line.starts_with("tenant-0 ")));
}

#[test]
fn no_name_steers_the_terminal() {
    let mut traffic = traffic();
    traffic.tenants[0].tenant = "\u{1b}]0;owned\u{7}\u{202e}".to_owned();
    traffic.slowest[0].request_id = "\u{1b}[2J".to_owned();
    traffic.budgets[0].budget = "\u{9b}31m".to_owned();
    for line in text(Some(&traffic), Some("\u{1b}[31m"), 120, 30) {
        assert!(
            !line.contains(|character: char| character.is_control() || character == '\u{202e}'),
            "{line:?}"
        );
    }
}
