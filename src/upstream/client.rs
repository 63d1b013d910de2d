use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::time::{Instant, timeout_at};

use super::breaker::Health;
use super::link::{Link, LinkFailure};
use super::pool::Pool;
use super::{Deadline, Origin, Translation, Underway};
use crate::config::Secret;
use crate::contract::Operation;
use crate::quota::Token;

/// The client of one upstream with one credential, shared by all workers.
pub struct Client {
    origin: Arc<Origin>,
    translation: Translation,
    timeout: Duration,
    max_response_bytes: usize,
    pool: Pool,
}

/// What is being sent, and who wants to know when it goes.
#[derive(Clone, Copy)]
struct Sending<'a> {
    operation: Operation,
    underway: &'a Underway,
    deadline: Deadline,
}

/// What a request goes up with.
pub struct SendPermit<'a> {
    /// What it spends.
    pub token: Token<'a>,
    /// By when all must be over.
    pub deadline: Deadline,
    /// Who is told once a write is on its way.
    pub underway: &'a Underway,
}

/// The upstream's whole answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The upstream has failed so often that it is left alone; nothing was sent.
    #[error("the upstream is left alone for another {}", in_seconds(*.0))]
    LeftAlone(Duration),
    /// No connection could be made; nothing was sent.
    #[error("cannot connect: {0}")]
    Unreachable(io::Error),
    /// No connection could be made in time; nothing was sent.
    #[error("no connection within {}", in_seconds(*.0))]
    ConnectTimeout(Duration),
    /// The reply was not complete in time; the request may have been acted on.
    #[error("no complete reply within {}", in_seconds(*.0))]
    Timeout(Duration),
    /// The connection broke or what came was not HTTP; the request may have been acted on.
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
    /// The reply is larger than `max_response_bytes`; the request may have been acted on.
    #[error("the reply is larger than allowed")]
    TooLarge,
}

/// With one of these an upstream says when to come back.
const RETRY_ADVICE: [HeaderName; 2] = [RETRY_AFTER, HeaderName::from_static("retry-after-ms")];

/// Why a client cannot be made from the settings.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The credential has characters that no header value may have.
    #[error("the upstream credential cannot be sent in a header")]
    BadCredential,
    /// The host is no name that a certificate can be checked against.
    #[error("the upstream's host is neither a DNS name nor an IP address")]
    BadHost,
    /// The system has no root certificates, so that no server could be trusted.
    #[error("no root certificates found on this system; install ca-certificates or set SSL_CERT_FILE")]
    NoRootCertificates,
    /// TLS itself could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
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

    /// Whether it is of any use to wait for a turn.
    ///
    /// # Errors
    /// [`Failure::LeftAlone`]
    pub fn look(&self) -> Result<(), Failure> {
        match self.origin.breaker.is_open(&self.origin.metrics.upstream) {
            Some(open) => Err(Failure::LeftAlone(open.retry_after)),
            None => Ok(()),
        }
    }

    /// Spends the token on one request and reads the whole reply, within the deadline.
    ///
    /// A request that never started is sent again, once, on a new connection; so is a read (`operation` is no
    /// write) that died without a byte of an answer on a connection that had been idle, where the budget has another
    /// token for it. Nothing else is. A write tells that it is underway when it goes.
    ///
    /// # Errors
    /// [`Failure`]; its variants say whether the request may have been acted on.
    pub async fn send(
        &self,
        operation: Operation,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
        permit: SendPermit<'_>,
    ) -> Result<Reply, Failure> {
        let request = self
            .request(operation, path_and_query, headers, body)
            .map_err(|error| Failure::Unreachable(io::Error::other(error)))?;
        let SendPermit {
            token,
            deadline,
            underway,
        } = permit;
        let origin = &*self.origin;
        // Before the token is spent: what is refused here is not sent.
        let leave = origin.breaker.admit(&origin.metrics.upstream);
        let leave = leave.map_err(|open| Failure::LeftAlone(open.retry_after))?;
        let sending = Sending {
            operation,
            underway,
            deadline,
        };
        let attempts = self.send_at_most_twice(sending, request, token);
        let outcome = match timeout_at(deadline.total, attempts).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Failure::Timeout(self.timeout)),
        };
        leave.tell(health(&outcome));
        outcome
    }

    fn request(
        &self,
        operation: Operation,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, InvalidUri> {
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

    async fn send_at_most_twice(
        &self,
        sending: Sending<'_>,
        request: Request<Full<Bytes>>,
        mut token: Token<'_>,
    ) -> Result<Reply, Failure> {
        let resolver = &self.origin.resolver;
        let Some(link) = self.pool.take(|address| resolver.is_current(address)) else {
            return self.send_on_new(sending, request, token).await;
        };
        let spare = (!sending.operation.is_write()).then(|| request.clone());
        let (again, token) = match (self.send_on(link, sending, request, &mut token).await, spare) {
            (Err(LinkFailure::NotSent(request)), _) => (*request, token),
            (Err(silent @ LinkFailure::Broken { is_silent: true, .. }), Some(spare)) => {
                let Ok(another) = token.another(sending.deadline.waiting).await else {
                    return Err(silent.into_failure());
                };
                (spare, another)
            }
            (outcome, _) => return outcome.map_err(LinkFailure::into_failure),
        };
        self.origin.metrics.upstream.resent.inc();
        self.send_on_new(sending, again, token).await
    }

    async fn send_on_new(
        &self,
        sending: Sending<'_>,
        request: Request<Full<Bytes>>,
        mut token: Token<'_>,
    ) -> Result<Reply, Failure> {
        // Never later than the whole exchange: a write that did not start must not look like one that did.
        let left = sending.deadline.total.saturating_duration_since(Instant::now());
        let link = self.origin.connect(left).await?;
        self.send_on(link, sending, request, &mut token)
            .await
            .map_err(LinkFailure::into_failure)
    }

    async fn send_on(
        &self,
        mut link: Box<Link>,
        sending: Sending<'_>,
        request: Request<Full<Bytes>>,
        token: &mut Token<'_>,
    ) -> Result<Reply, LinkFailure> {
        if sending.operation.is_write() {
            sending.underway.set();
        }
        token.sent();
        let outcome = link.exchange(request, self.max_response_bytes).await;
        if let Err(LinkFailure::NotSent(_)) = &outcome {
            token.unsent();
        }
        let reply = outcome?;
        self.pool.put(link);
        Ok(reply)
    }
}

/// What a request tells of its upstream.
///
/// A reply is a sign of life, whatever it says, with one exception: 502, 503, 504 and 529 without advice when to come
/// back are what stands before a service answers while there is none. With advice it is the upstream itself that speaks,
/// and clients get to hear it. A 500 is no reason to stop: one tenant whose request the upstream stumbles over would shut
/// out the others. Nor is a reply over the gateway's own limit.
fn health(outcome: &Result<Reply, Failure>) -> Health {
    let is_well = match outcome {
        Ok(reply) => {
            let has_advice = RETRY_ADVICE.iter().any(|name| reply.headers.contains_key(name));
            has_advice || !matches!(reply.status.as_u16(), 502 | 503 | 504 | 529)
        }
        Err(failure) => matches!(failure, Failure::TooLarge),
    };
    if is_well { Health::Well } else { Health::Failing }
}

fn in_seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
