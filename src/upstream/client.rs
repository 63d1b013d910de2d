use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};

use super::circuit::{CircuitPermit, Health, Sender};
use super::connection::ExchangeError;
use super::error::{SendError, SetUpError};
use super::origin::Origin;
use super::pool::Pool;
use super::received_bytes::ReceivedBytes;
use super::redaction::Redaction;
use super::reply::Reply;
use super::request::{InvalidTarget, UpstreamRequest};
use super::translate::{Translation, UpstreamHeader};
use crate::config::Secret;
use crate::contract::Operation;
use crate::telemetry::UpstreamMetrics;

/// Timers are no finer: of two that end within it either may come first.
const TIMER_TICK: Duration = Duration::from_millis(1);

/// The client of one upstream with one credential, shared by all workers.
pub struct Client {
    timeout: Duration,
    max_response_bytes: usize,
    account: Arc<Account>,
}

/// What belongs to one credential at one upstream, however long its requests may take.
struct Account {
    origin: Arc<Origin>,
    translation: Translation,
    redaction: Redaction,
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
        let mut header = HeaderValue::try_from(credential.reveal()).map_err(|_| SetUpError::BadCredential)?;
        header.set_sensitive(true);
        let translation = Translation {
            host: origin.host.clone(),
            credential: header,
        };
        Ok(Self {
            timeout,
            max_response_bytes,
            account: Arc::new(Account {
                origin,
                translation,
                redaction: Redaction::new(credential.reveal()),
                pool: Pool::default(),
            }),
        })
    }

    /// The same client, its connections included, with other limits.
    #[must_use]
    pub fn with_limits(&self, timeout: Duration, max_response_bytes: usize) -> Self {
        Self {
            timeout,
            max_response_bytes,
            account: Arc::clone(&self.account),
        }
    }

    /// Whether it sends this credential to this upstream.
    #[must_use]
    pub fn is_of(&self, origin: &Arc<Origin>, credential: &Secret) -> bool {
        let own = self.account.translation.credential.as_bytes();
        Arc::ptr_eq(&self.account.origin, origin) && credential.is(own)
    }

    /// Whether both send one credential to one upstream.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.account, &other.account)
    }

    /// Whether both ask one upstream, with whatever credential.
    #[must_use]
    pub fn has_origin_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.account.origin, &other.account.origin)
    }

    /// What every request to this upstream carries.
    #[must_use]
    pub fn translation(&self) -> &Translation {
        &self.account.translation
    }

    /// How long one exchange may take, from the first moment that it needs the upstream.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What is counted of the upstream.
    #[must_use]
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.account.origin.metrics.upstream
    }

    /// Whether it is of any use to wait for a turn.
    ///
    /// # Errors
    /// [`SendError::CircuitOpen`]
    pub fn check_circuit(&self) -> Result<(), SendError> {
        let circuit = self.account.origin.circuit.check(self.metrics());
        circuit.map_err(|open| SendError::CircuitOpen(open.retry_after))
    }

    /// A request for [`Client::send`]; whoever gives it a body says with the operation that it is JSON.
    ///
    /// # Errors
    /// Where path and query are none.
    pub fn request(
        &self,
        operation: Operation,
        path_and_query: &str,
        header: &UpstreamHeader,
        body: Bytes,
    ) -> Result<UpstreamRequest, InvalidTarget> {
        let (prefix, own) = (&self.account.origin.url.path_prefix, self.translation());
        UpstreamRequest::new(operation, prefix, path_and_query, own, header, body)
    }

    /// Sends a request once, and reads the whole reply, until `deadline` at the latest. `on_sending` is
    /// called when there is a connection and the request goes out on it, with what will say what comes back.
    ///
    /// Whether anything may be sent a second time is for the caller to decide, who also knows what that
    /// costs.
    ///
    /// # Errors
    /// [`SendError`]; its variants say whether the request may have been acted on.
    pub async fn send(
        &self,
        sender: Sender<'_>,
        request: UpstreamRequest,
        reuse: Reuse,
        deadline: Instant,
        on_sending: impl FnOnce(&ReceivedBytes),
    ) -> Result<Reply, SendError> {
        let permit = self.account.origin.circuit.admit(sender, self.metrics());
        let permit = permit.map_err(|open| SendError::CircuitOpen(open.retry_after))?;
        let mut attempt = Attempt::begin(permit, self.timeout / 2);
        let sending = self.send_on_connection(request, reuse, deadline, on_sending, &mut attempt);
        let outcome = match timeout_at(deadline, sending).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(SendError::Timeout(self.timeout)),
        };
        attempt.end(match &outcome {
            Ok(reply) => Some(health(reply)),
            // Not even a new connection lasted until the request began.
            Err(SendError::NotStarted(_)) if reuse == Reuse::No => Some(Health::Unreachable),
            Err(error) => error.health(),
        });
        Ok(self.account.redaction.clean(outcome?))
    }

    async fn send_on_connection(
        &self,
        request: UpstreamRequest,
        reuse: Reuse,
        deadline: Instant,
        on_sending: impl FnOnce(&ReceivedBytes),
        attempt: &mut Attempt<'_>,
    ) -> Result<Reply, SendError> {
        let Account { origin, pool, .. } = &*self.account;
        let idle = match reuse {
            Reuse::Allowed => pool.take(|address| origin.resolver.is_current(address)),
            Reuse::No => None,
        };
        let is_reused = idle.is_some();
        let mut connection = match idle {
            Some(idle) => idle,
            None => {
                // Before the whole: a write that did not start must not look like one that did.
                let left = deadline.saturating_duration_since(Instant::now());
                let margin = (TIMER_TICK * 2).min(left / 2);
                origin.connect(left.saturating_sub(margin)).await?
            }
        };
        attempt.received = Some(connection.received.clone());
        on_sending(&connection.received);
        let outcome = connection.exchange(request, self.max_response_bytes).await;
        let reply = outcome.map_err(|error| match error {
            ExchangeError::NotStarted(request) => SendError::NotStarted(request),
            ExchangeError::Broken { error, is_silent } if is_silent && is_reused => {
                SendError::DiedIdle(error)
            }
            ExchangeError::Broken { error, .. } => SendError::Broken(error),
            ExchangeError::Malformed(fault) => SendError::Malformed(fault),
            ExchangeError::TooLarge => SendError::TooLarge,
        })?;
        pool.put(connection);
        Ok(reply)
    }

    /// Closes idle connections that the upstream has closed, or that nobody has needed for long.
    pub fn reap_idle(&self) {
        self.account.pool.reap();
    }
}

/// A request on its way, as the circuit sees it, however it ends.
struct Attempt<'a> {
    /// Taken when it ended.
    permit: Option<CircuitPermit<'a>>,
    begun_at: Instant,
    /// What whoever waits may be expected to wait; who goes sooner tells nothing of the upstream.
    patience: Duration,
    /// Of the connection that it is on, once there is one.
    received: Option<ReceivedBytes>,
}

impl<'a> Attempt<'a> {
    fn begin(permit: CircuitPermit<'a>, patience: Duration) -> Self {
        Self {
            permit: Some(permit),
            begun_at: Instant::now(),
            patience,
            received: None,
        }
    }

    fn end(mut self, health: Option<Health>) {
        if let (Some(permit), Some(health)) = (self.permit.take(), health) {
            permit.report(health);
        }
    }
}

impl Drop for Attempt<'_> {
    /// Given up. Clients that leave before the time is up must not hide that the upstream hangs.
    fn drop(&mut self) {
        let has_answered = self.received.as_ref().is_some_and(ReceivedBytes::is_set);
        let is_failing = !has_answered && self.begun_at.elapsed() > self.patience;
        if let (Some(permit), true) = (self.permit.take(), is_failing) {
            permit.report(Health::Failing);
        }
    }
}

/// What a reply tells of its upstream.
///
/// It is a sign of life, whatever it says, with one exception: 502, 503, 504 and 529 without advice when to
/// come back are what stands before a service answers while there is none. With advice it is the upstream
/// itself that speaks, and clients get to hear it. A 500 is no reason to stop: one tenant whose request the
/// upstream stumbles over would shut out the others.
fn health(reply: &Reply) -> Health {
    let has_advice = RETRY_ADVICE.iter().any(|name| reply.headers.contains_key(name));
    match reply.status.as_u16() {
        502 | 503 | 504 | 529 if !has_advice => Health::Failing,
        _ => Health::Well,
    }
}
