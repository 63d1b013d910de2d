use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};

use super::circuit::Health;
use super::connection::{ExchangeError, Pool, Reply, UpstreamRequest};
use super::error::{SendError, SetUpError};
use super::{Origin, Translation};
use crate::config::Secret;
use crate::contract::Operation;
use crate::telemetry::UpstreamMetrics;

/// The client of one upstream with one credential, shared by all workers.
pub struct Client {
    origin: Arc<Origin>,
    translation: Translation,
    timeout: Duration,
    max_response_bytes: usize,
    pool: Pool,
}

/// Whether a write has been sent to the upstream: from then on it may have been done, and whoever waits for
/// its reply should go on, even if nobody wants to hear of it any more.
#[derive(Debug, Default)]
pub struct WriteSent(AtomicBool);

/// Which connection a request may go up on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// One that is idle, where there is one.
    Allowed,
    /// A new one, so that whatever became of an idle one does not happen twice.
    No,
}

/// With one of these an upstream says when to come back.
const RETRY_ADVICE: [HeaderName; 2] = [RETRY_AFTER, HeaderName::from_static("retry-after-ms")];

impl WriteSent {
    /// A write goes out now.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether one has.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Client {
    /// Makes a client; nothing is connected yet.
    ///
    /// # Errors
    /// [`SetUpError`] where the settings or the system do not allow it.
    pub fn new(
        origin: Arc<Origin>,
        credential: &Secret,
        timeout: Duration,
        max_response_bytes: usize,
    ) -> Result<Self, SetUpError> {
        let mut credential =
            HeaderValue::try_from(credential.reveal()).map_err(|_| SetUpError::BadCredential)?;
        credential.set_sensitive(true);
        let translation = Translation {
            host: origin.host.clone(),
            credential,
        };
        Ok(Self {
            origin,
            translation,
            timeout,
            max_response_bytes,
            pool: Pool::default(),
        })
    }

    /// What every request to this upstream carries.
    #[must_use]
    pub const fn translation(&self) -> &Translation {
        &self.translation
    }

    /// How long one exchange may take, from the first moment that it needs the upstream.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A text of the upstream's, free of the operator's credential: some services quote it in their errors.
    #[must_use]
    pub fn redact(&self, text: Bytes) -> Bytes {
        let credential = self.translation.credential.as_bytes();
        if credential.is_empty() || !text.windows(credential.len()).any(|window| window == credential) {
            return text;
        }
        let (text, credential) = (
            String::from_utf8_lossy(&text),
            String::from_utf8_lossy(credential),
        );
        text.replace(&*credential, "[credential]").into()
    }

    /// What is counted of the upstream.
    #[must_use]
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.origin.metrics.upstream
    }

    /// Whether it is of any use to wait for a turn.
    ///
    /// # Errors
    /// [`SendError::CircuitOpen`]
    pub fn check_circuit(&self) -> Result<(), SendError> {
        match self.origin.circuit.is_open(self.metrics()) {
            Some(open) => Err(SendError::CircuitOpen(open.retry_after)),
            None => Ok(()),
        }
    }

    /// A request for [`Client::send`]; whoever gives it a body says with the operation that it is JSON.
    ///
    /// # Errors
    /// Where path and query are none.
    pub fn request(
        &self,
        operation: Operation,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<UpstreamRequest, InvalidUri> {
        let prefix = &self.origin.url.path_prefix;
        let uri: Uri = if prefix.is_empty() {
            path_and_query.parse()?
        } else {
            format!("{prefix}{path_and_query}").parse()?
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = operation.method();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if operation.takes_body() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        Ok(request)
    }

    /// Sends a request once, and reads the whole reply, until `deadline` at the latest. `on_sending` is
    /// called when there is a connection and the request goes out on it.
    ///
    /// Whether anything may be sent a second time is for the caller to decide, who also knows what that
    /// costs.
    ///
    /// # Errors
    /// [`SendError`]; its variants say whether the request may have been acted on.
    pub async fn send(
        &self,
        request: UpstreamRequest,
        reuse: Reuse,
        deadline: Instant,
        on_sending: impl FnOnce(),
    ) -> Result<Reply, SendError> {
        let permit = self.origin.circuit.admit(self.metrics());
        let permit = permit.map_err(|open| SendError::CircuitOpen(open.retry_after))?;
        let idle = match reuse {
            Reuse::Allowed => self.pool.take(|address| self.origin.resolver.is_current(address)),
            Reuse::No => None,
        };
        let is_reused = idle.is_some();
        let attempt = async {
            let mut connection = match idle {
                Some(idle) => idle,
                None => {
                    // Never later than the whole: a write that did not start must not look like one that did.
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.origin.connect(left).await?
                }
            };
            on_sending();
            let outcome = connection.exchange(request, self.max_response_bytes).await;
            let reply = outcome.map_err(|error| match error {
                ExchangeError::NotStarted(request) => SendError::NotStarted(request),
                ExchangeError::Broken { error, is_silent } if is_silent && is_reused => {
                    SendError::DiedIdle(error)
                }
                ExchangeError::Broken { error, .. } => SendError::Broken(error),
                ExchangeError::TooLarge => SendError::TooLarge,
            })?;
            self.pool.put(connection);
            Ok(reply)
        };
        let outcome = match timeout_at(deadline, attempt).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(SendError::Timeout(self.timeout)),
        };
        if let Some(health) = health(&outcome, is_reused) {
            permit.report(health);
        }
        outcome
    }
}

/// What a request tells of its upstream.
///
/// A reply is a sign of life, whatever it says, with one exception: 502, 503, 504 and 529 without advice when
/// to come back are what stands before a service answers while there is none. With advice it is the upstream
/// itself that speaks, and clients get to hear it. A 500 is no reason to stop: one tenant whose request the
/// upstream stumbles over would shut out the others. Nor is a reply over the gateway's own limit. A
/// connection that died while it was idle tells nothing.
fn health(outcome: &Result<Reply, SendError>, is_reused: bool) -> Option<Health> {
    let is_well = match outcome {
        Ok(reply) => {
            let has_advice = RETRY_ADVICE.iter().any(|name| reply.headers.contains_key(name));
            has_advice || !matches!(reply.status.as_u16(), 502 | 503 | 504 | 529)
        }
        Err(SendError::NotStarted(_)) if is_reused => return None,
        Err(SendError::DiedIdle(_)) => return None,
        Err(error) => matches!(error, SendError::TooLarge),
    };
    Some(if is_well { Health::Well } else { Health::Failing })
}
