//! What the upstream says of its limits, and what is made of it.

use std::time::{Duration, Instant};

use super::{CLOSED, empty_list, list, retry_after, served};
use crate::common::envgate::{Envgate, eventually, pause};
use crate::common::upstream::{Then, Upstream};
use parking_lot::Mutex;

#[test]
fn a_429_of_the_upstreams_silences_all_for_as_long_as_it_asks() {
    let upstream = Upstream::start(|number, _| match number {
        0 => Then::respond("429 Slow Down", &[("retry-after", "1")], "{}"),
        _ => empty_list(),
    });
    let (envgate, [one, other]) = served(&upstream, "", "60s", ["default", "default"]);
    let refused = list(&envgate, &one);
    let error = refused.expect_error(429, "rate_limit_error");
    assert_eq!(
        error.get("details"),
        None,
        "the upstream's refusal, not ours: {error}"
    );
    let closed = Instant::now();
    envgate.expect_metric(CLOSED, 1.0);
    assert_eq!(list(&envgate, &other).status, 200, "it had to wait");
    assert!(
        closed.elapsed() >= Duration::from_millis(900),
        "{:?}",
        closed.elapsed()
    );
    envgate.expect_metric(CLOSED, 0.0);
    assert_eq!(list(&envgate, &one).status, 200);
    assert_eq!(upstream.seen().len(), 3);
}

#[test]
fn an_absurd_retry_after_is_capped_or_means_a_few_seconds_and_is_told() {
    for (value, seconds) in [
        ("31536000", 290..=300),
        ("Fri, 01 Jan 2038 00:00:00 GMT", 290..=300),
        ("-5", 1..=3),
        ("soon", 1..=3),
    ] {
        let upstream = Upstream::start(move |number, _| match number {
            0 => Then::respond("429 Slow Down", &[("retry-after", value)], "{}"),
            _ => empty_list(),
        });
        let (envgate, [key]) = served(&upstream, "", "2s", ["default"]);
        list(&envgate, &key).expect_error(429, "rate_limit_error");
        let next = list(&envgate, &key);
        envgate.expect_log("the upstream asks for a silence");
        let error = next.expect_error(429, "rate_limit_error");
        assert_eq!(error["details"]["error_code"], "upstream_limit");
        assert!(seconds.contains(&retry_after(&next)), "{value}: {next:?}");
    }
}

/// An upstream that takes so many requests in any two seconds, and says no to more.
fn strict_upstream(limit: usize, refusal: &'static [(&'static str, &'static str)]) -> Upstream {
    let accepted = Mutex::new(Vec::<Instant>::new());
    Upstream::start(move |_, _| {
        let mut accepted = accepted.lock();
        let now = Instant::now();
        accepted.retain(|at| now < *at + WINDOW);
        if accepted.len() >= limit {
            return Then::respond("429 Slow Down", refusal, "{}");
        }
        accepted.push(now);
        empty_list()
    })
}

const WINDOW: Duration = Duration::from_secs(2);
const SHORT_WINDOW: &str = "[quota]\nwindow = \"2s\"\n";
const LEARNED_READS: &str = r#"envgate_budget_learned_limit{budget="default",kind="reads"}"#;

/// Lists until the upstream says no.
fn list_until_refused(envgate: &Envgate, key: &str) -> usize {
    let mut accepted = 0;
    while list(envgate, key).status == 200 {
        accepted += 1;
    }
    accepted
}

#[test]
fn a_refusal_that_says_when_to_come_back_teaches_what_was_accepted_and_is_told() {
    let upstream = strict_upstream(25, &[("retry-after", "2")]);
    let (envgate, [key]) = served(&upstream, SHORT_WINDOW, "60s", ["default"]);
    // A whole window has to lie behind.
    pause(WINDOW);
    assert_eq!(list_until_refused(&envgate, &key), 25);
    envgate.expect_metric(LEARNED_READS, 25.0);
    envgate.expect_metric(r#"envgate_budget_limit{budget="default",limit="reads"}"#, 25.0);
    envgate.expect_log("the upstream takes no more than this in a minute");

    // From now on it is envgate that keeps count, so the upstream says no to few.
    let before = upstream.seen().len();
    for _ in 0..60 {
        list(&envgate, &key);
    }
    let sent = upstream.seen().len() - before;
    assert!((50..=64).contains(&sent), "{sent}");
    // It grows, and ends when it has doubled: by then it was tried with more for a while.
    let metric = || envgate.metric(LEARNED_READS);
    eventually("it grows", || metric() > 25.0);
}

#[test]
fn a_refusal_that_says_nothing_more_teaches_nothing_and_means_a_few_seconds_silence() {
    let upstream = strict_upstream(12, &[]);
    let (envgate, [key]) = served(&upstream, SHORT_WINDOW, "2s", ["default"]);
    pause(WINDOW);
    assert_eq!(list_until_refused(&envgate, &key), 12);
    envgate.expect_metric(CLOSED, 1.0);
    let refused = list(&envgate, &key);
    let error = refused.expect_error(429, "rate_limit_error");
    assert_eq!(error["details"]["error_code"], "upstream_limit");
    assert!((1..=3).contains(&retry_after(&refused)), "{refused:?}");
    assert_eq!(envgate.metric(LEARNED_READS), 0.0);
}
