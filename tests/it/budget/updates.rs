//! Updates that need more than one request.

use std::time::Duration;

use super::{LEFT, REMAINING, late, retry_after, served_alone};
use crate::common::envgate::pause;
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};

const GUARDED: &str = "[plans.default.policy]\nconfig_types = [\"cloud\"]\n";
const PATH: &str = "/v1/environments/env_1";

#[test]
fn an_update_waits_for_another_one_of_its_environment_until_its_deadline() {
    let upstream = Upstream::always(late(700, ENVIRONMENT));
    let envgate = served_alone(&upstream, GUARDED, "2s");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| envgate.post(PATH, r#"{"name":"one"}"#));
        pause(Duration::from_millis(100));
        let late = envgate.post(PATH, r#"{"name":"two"}"#);
        late.expect_error(503, "api_error");
        assert_eq!(retry_after(&late), 1, "nothing was sent");
        assert_eq!(first.join().unwrap().status, 200);
    });
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn a_write_that_could_not_be_seen_to_its_end_is_not_begun() {
    let upstream = Upstream::always(late(1300, ENVIRONMENT));
    let envgate = served_alone(&upstream, GUARDED, "2s");
    let late = envgate.post(PATH, r#"{"name":"n"}"#);
    late.expect_error(504, "timeout_error");
    assert_eq!(late.header("x-should-retry"), None, "the write was not sent");
    let lines: Vec<_> = upstream.seen().into_iter().map(|seen| seen.line).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("GET "), "{lines:?}");
}

#[test]
fn an_update_that_needs_two_requests_spends_two_and_one_of_the_tenants() {
    let upstream = Upstream::always(Then::environment());
    let settings = format!(
        "[budgets.default]\nrequests_per_minute = 10\n[plans.default]\nrequests_per_minute = 5\n{GUARDED}"
    );
    let envgate = served_alone(&upstream, &settings, "60s");
    let updated = envgate.post(PATH, r#"{"name":"n"}"#);
    assert_eq!((updated.status, updated.header(REMAINING)), (200, Some("4")));
    envgate.expect_metric(LEFT, 8.0);
}
