//! The task that brings spans to the collector.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::time::{sleep, timeout};

use super::client::{Client, ExportError};
use super::spans;
use crate::config::SpanExport;
use crate::telemetry::request_spans::RequestSpans;
use crate::telemetry::tracer::Tracer;

/// How often a batch is sent again that the collector might take later.
const RETRIES: u32 = 3;
/// How long before the first of them; twice as long before each other.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often is looked whether spans wait that nobody wants any more.
const NOTHING_TO_SEND: Duration = Duration::from_secs(60);
/// How long the last spans may take when the process stops.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Brings spans to the collector until the process stops, and then those that are left, for a moment. Where the
/// collector takes none, they wait within bounds, and are lost and counted beyond.
pub async fn export_spans(tracer: Arc<Tracer>, stopped: impl Future<Output = ()>) {
    let mut exporter = Exporter {
        tracer,
        route: None,
        in_hand: None,
        was_taken: true,
    };
    tokio::select! {
        () = stopped => {}
        () = exporter.run() => {}
    }
    let _ = timeout(FLUSH_TIMEOUT, exporter.flush()).await;
    exporter.give_up();
}

struct Exporter {
    tracer: Arc<Tracer>,
    /// None where spans go nowhere.
    route: Option<Route>,
    /// What is being sent. It stays here where the task is told to stop meanwhile.
    in_hand: Option<Batch>,
    /// Whether the collector has taken the last batch: it is told once that it does not, and once that it does again.
    was_taken: bool,
}

/// Where spans go.
struct Route {
    export: Arc<SpanExport>,
    resource: Resource,
    client: Client,
}

struct Batch {
    message: ExportTraceServiceRequest,
    spans: u64,
}

impl Route {
    fn new(export: SpanExport) -> Result<Self, ExportError> {
        let export = Arc::new(export);
        Ok(Self {
            resource: spans::resource(&export.resource),
            client: Client::new(&export)?,
            export,
        })
    }

    async fn send(&mut self, message: &ExportTraceServiceRequest) -> Result<u64, ExportError> {
        let sending = self.client.send(message);
        let outcome = timeout(self.export.timeout, sending).await;
        let outcome = outcome.unwrap_or(Err(ExportError::Timeout));
        if outcome.is_err() {
            // Nobody knows in what state the connection is, and the name may mean another address by now.
            self.client = Client::new(&self.export)?;
        }
        outcome
    }
}

impl Exporter {
    /// Does not end.
    async fn run(&mut self) {
        let mut settings = self.tracer.export.subscribe();
        settings.mark_changed();
        loop {
            let delay = self
                .route
                .as_ref()
                .map_or(NOTHING_TO_SEND, |route| route.export.batch_delay);
            let tracer = Arc::clone(&self.tracer);
            tokio::select! {
                // The sender is the tracer's own.
                _ = settings.changed() => {
                    let export = settings.borrow_and_update().clone();
                    // What waits goes where it was meant to, where that can be.
                    self.send_all(false).await;
                    self.go_to(export);
                }
                () = tracer.batch_full.notified() => self.send_all(true).await,
                () = sleep(delay) => self.send_all(true).await,
            }
        }
    }

    fn go_to(&mut self, export: Option<SpanExport>) {
        self.was_taken = true;
        self.route = match export.map(Route::new).transpose() {
            Ok(route) => route,
            Err(error) => {
                tracing::error!(%error, "traces are not exported");
                None
            }
        };
        if let Some(route) = &self.route {
            let collector = route.export.collector.authority.as_str();
            tracing::info!(collector, "traces are exported");
        }
    }

    /// Sends all that waits, batch by batch.
    async fn send_all(&mut self, may_retry: bool) {
        while self.take() {
            self.send(may_retry).await;
        }
    }

    /// What was being sent, and all that waits, once.
    async fn flush(&mut self) {
        if self.in_hand.is_some() {
            self.send(false).await;
        }
        self.send_all(false).await;
    }

    fn give_up(&mut self) {
        let rest = std::iter::from_fn(|| Some(self.tracer.take_batch()).filter(|batch| !batch.is_empty()));
        let rest: u64 = rest.map(|batch| count(&batch)).sum();
        let in_hand = self.in_hand.take().map_or(0, |batch| batch.spans);
        self.tracer.metrics.stopped.inc_by(in_hand + rest);
        if in_hand + rest > 0 {
            tracing::warn!(
                spans = in_hand + rest,
                "spans are lost: the collector did not take them in time"
            );
        }
    }

    fn take(&mut self) -> bool {
        let requests = self.tracer.take_batch();
        if requests.is_empty() {
            return false;
        }
        let spans = count(&requests);
        match &self.route {
            Some(route) => {
                let message = spans::message(&route.resource, &requests);
                self.in_hand = Some(Batch { message, spans });
            }
            None => self.tracer.metrics.export_failed.inc_by(spans),
        }
        true
    }

    /// Sends what is in hand, again where that may be of use.
    async fn send(&mut self, may_retry: bool) {
        let (Some(route), Some(batch)) = (&mut self.route, &self.in_hand) else {
            return;
        };
        let mut retries = if may_retry { 0..RETRIES } else { 0..0 };
        let outcome = loop {
            match route.send(&batch.message).await {
                Err(error) if error.is_passing() => match retries.next() {
                    Some(retry) => {
                        tracing::debug!(%error, "the collector did not take spans, and is asked again");
                        sleep(RETRY_DELAY * 2_u32.pow(retry)).await;
                    }
                    None => break Err(error),
                },
                outcome => break outcome,
            }
        };
        let spans = batch.spans;
        self.in_hand = None;
        let metrics = &self.tracer.metrics;
        match outcome {
            Ok(rejected) => {
                let rejected = rejected.min(spans);
                metrics.exported.inc_by(spans - rejected);
                metrics.export_failed.inc_by(rejected);
                if !self.was_taken {
                    tracing::info!("the collector takes spans again");
                }
                self.was_taken = true;
            }
            Err(error) => {
                metrics.export_failed.inc_by(spans);
                if self.was_taken {
                    tracing::warn!(%error, "the collector does not take spans; they are lost, and counted, until it does");
                }
                self.was_taken = false;
            }
        }
    }
}

fn count(requests: &[RequestSpans]) -> u64 {
    let spans: usize = requests.iter().map(RequestSpans::span_count).sum();
    u64::try_from(spans).unwrap_or(u64::MAX)
}
