//! What the operator can see: metrics, logs and traces. Never a credential, a query string or a body.

mod access_log;
mod budget_metrics;
mod certificate_metrics;
mod client_metrics;
mod connection_metrics;
mod escape;
mod line_buffer;
mod line_writer;
mod log;
mod log_level;
mod metrics;
mod metrics_page;
mod registrar;
mod request_metrics;
mod store_metrics;
mod timeline;
mod trace_context;
mod upstream_metrics;

pub use access_log::{AccessLine, AccessLog};
pub use budget_metrics::{BudgetMetrics, BudgetSharing, RejectionMetrics};
pub use certificate_metrics::{CertificateFiles, CertificateMetrics};
pub use client_metrics::ClientMetrics;
pub use connection_metrics::ConnectionMetrics;
pub use line_writer::LineWriter;
pub use log::{LogError, RunningLog, start_log};
pub use log_level::{CAPPED, LevelInForce, LevelSet, capped_directive};
pub use metrics::Metrics;
pub use request_metrics::Outcome;
pub use store_metrics::StoreMetrics;
pub use timeline::{Attempt, AttemptOutcome, Interval, Step, Timeline};
pub use trace_context::{HexId, SpanId, TRACEPARENT, TRACESTATE, TraceContext, TraceId};
pub use upstream_metrics::UpstreamMetrics;
