//! What the operator can see: metrics and logs. Never a credential, a query string or a body.

mod log;
mod metrics;

pub use log::{LogError, start_log};
pub use metrics::{Metrics, Outcome};
