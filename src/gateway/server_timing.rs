//! What each step of a request took, for clients who may know (W3C Server Timing).

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};

use super::shared_reads::ReadSource;
use crate::telemetry::{Step, Timeline};
use crate::text::milliseconds;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The header for an answer that is about to be written: its own time to be written is not over yet. `source` is where
/// the reply to a read came from.
pub(super) fn header(timeline: &Timeline, source: Option<ReadSource>) -> Option<(HeaderName, HeaderValue)> {
    let mut text = String::with_capacity(112);
    for step in Step::ALL {
        let spent = timeline.time_in(step);
        // Judging comes to an end in any case; what did not happen says nothing.
        if step != Step::Judge && spent.is_zero() {
            continue;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        // A String takes all.
        let _ = write!(text, "{};dur={}", step.name(), milliseconds(spent));
    }
    if let Some(source @ (ReadSource::Hit(_) | ReadSource::Coalesced)) = source {
        // A String takes all.
        let _ = write!(text, ", cache;desc=\"{}\"", source.name());
    }
    let value = HeaderValue::try_from(text).ok()?;
    Some((SERVER_TIMING, value))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::contract::Operation;

    fn text(timeline: &Timeline, source: Option<ReadSource>) -> String {
        let (_, value) = header(timeline, source).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn each_step_that_there_was_is_told_with_its_milliseconds() {
        let mut timeline = Timeline::start(Instant::now());
        let at = |micros| timeline.started() + Duration::from_micros(micros);
        let times = [100, 1_350, 2_350, 302_350, 302_400].map(at);
        timeline.enter(Step::Body, times[0]);
        timeline.enter(Step::Judge, times[1]);
        timeline.begin_attempt(Operation::Update, None, times[2]);
        timeline.enter(Step::Answer, times[3]);
        timeline.enter(Step::Write, times[4]);
        assert_eq!(
            text(&timeline, Some(ReadSource::Miss)),
            "judge;dur=1.1, body;dur=1.25, upstream;dur=300, answer;dur=0.05"
        );
    }

    #[test]
    fn a_read_that_cost_nothing_says_so() {
        let mut timeline = Timeline::start(Instant::now());
        timeline.enter(Step::Answer, timeline.started() + Duration::from_micros(20));
        assert_eq!(
            text(&timeline, Some(ReadSource::Hit(Duration::from_secs(1)))),
            "judge;dur=0.02, cache;desc=\"hit\""
        );
    }
}
