//! RFC 9112 as a client: what a hostile or broken upstream may send instead of a reply. Whatever it is, the tenant gets
//! an answer in the envelope, nothing of it reaches whoever comes next, and its connection is not used again.

mod cases;

use std::sync::Arc;

use self::cases::{Case, bodies, chunks, fields, interim, messages};
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{Seen, Then, Upstream};

fn path_of(number: usize) -> String {
    format!("/v1/environments/case_{number}")
}

/// Meets every case with a retrieve and an update; gives back what came out otherwise than it should.
fn meet(cases: Vec<Case>) -> Vec<String> {
    let cases = Arc::new(cases);
    let sent = Arc::clone(&cases);
    let upstream = Upstream::start(move |_, request: &Seen| {
        let path = request.line.split(' ').nth(1).unwrap();
        let number = path
            .rsplit('_')
            .next()
            .and_then(|number| number.parse::<usize>().ok());
        match number.and_then(|number| sent.get(number)) {
            Some(case) => case.then.clone(),
            None => Then::environment(),
        }
    });
    let is_any_late = cases.iter().any(|case| case.status == 504);
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_SERVER__THREADS", "1")
        .set(
            "ENVGATE_UPSTREAM__TIMEOUT",
            if is_any_late { "2s" } else { "60s" },
        )
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "0")
        .set("ENVGATE_CACHE__TTL", "off")
        .start();
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let answers = [
            envgate.get(&path_of(number)),
            envgate.post(&path_of(number), r#"{"name":"n"}"#),
        ];
        for answer in answers {
            let text = answer.text();
            if answer.status != case.status || text.contains("smuggled") {
                wrong.push(format!("{}: {} {text}", case.name, answer.status));
            } else if case.status != 200 && answer.json()["type"] != "error" {
                wrong.push(format!("{}: not in the envelope: {text}", case.name));
            }
        }
        let before = connections(&envgate);
        for _ in 0..2 {
            let next = envgate.get("/v1/environments/env_next");
            if next.status != 200 || next.json()["id"] != "env_1" {
                wrong.push(format!("after {}: {} {}", case.name, next.status, next.text()));
            }
        }
        let opened = connections(&envgate) - before;
        let expected = if case.is_reusable { 0.0 } else { 1.0 };
        if (opened - expected).abs() > f64::EPSILON {
            wrong.push(format!("after {}: {opened} connections were made", case.name));
        }
    }
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
    wrong
}

fn connections(envgate: &Envgate) -> f64 {
    envgate.metric("envgate_upstream_connections_opened_total")
}

#[track_caller]
fn expect(cases: Vec<Case>) {
    let wrong = meet(cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rfc_9112_2_a_message_that_is_none_is_refused() {
    expect(messages());
}

#[test]
fn rfc_9112_5_a_field_that_is_none_is_refused_and_an_endless_header_is_given_up() {
    expect(fields());
}

#[test]
fn rfc_9112_6_a_reply_says_in_one_way_where_it_ends_and_nothing_after_it_is_read() {
    expect(bodies());
}

#[test]
fn rfc_9112_7_chunks_that_are_none_are_refused() {
    expect(chunks());
}

#[test]
fn rfc_9110_15_2_interim_answers_are_passed_over_and_have_an_end() {
    expect(interim());
}

#[test]
fn rfc_9110_5_5_what_goes_down_of_a_header_is_short_and_plain_text() {
    let long = "a".repeat(20_000);
    for value in ["\u{e9}", "7\u{ff}", &long] {
        let fields = ["retry-after", "retry-after-ms", "x-should-retry", "request-id"];
        let fields = fields.map(|name| (name, value));
        let upstream = Upstream::always(Then::respond("529 Overloaded", &fields, ""));
        let envgate = Envgate::in_front_of(upstream.address);
        let read = envgate.get("/v1/environments/env_1");
        read.expect_error(529, "overloaded_error");
        for (name, _) in &fields[..3] {
            assert_eq!(read.header(name), None, "{name}: {}", value.len());
        }
        let upstream = Upstream::always(Then::respond("500 Oops", &fields, ""));
        let envgate = Envgate::in_front_of(upstream.address);
        let written = envgate.post("/v1/environments/env_1", r#"{"name":"n"}"#);
        written.expect_error(500, "api_error");
        assert_eq!(
            written.header("x-should-retry"),
            Some("false"),
            "ours stands in its place"
        );
    }
}
