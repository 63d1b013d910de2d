use std::time::Duration;

use crate::text::Ratio;

/// `[log]`, on standard error.
#[derive(Clone, Debug)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// A level, or directives such as `info,envgate=debug`.
    pub level: String,
    /// The share of requests that succeeded which get a line.
    pub success_ratio: Ratio,
    /// How long a request takes that gets a line of its own with the time of each step; none where none does.
    pub slow_request: Option<Duration>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line.
    Json,
}
