use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::uri::InvalidUri;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Translation;
use super::link::{Link, LinkFailure};
use super::pool::Pool;
use super::stream::Transport;
use super::tls::Tls;
use crate::config::{Secret, UpstreamUrl};
use crate::contract::Operation;

/// The client of one upstream, shared by all workers.
pub struct Client {
    url: UpstreamUrl,
    tls: Option<Tls>,
    translation: Translation,
    timeout: Duration,
    max_response_bytes: usize,
    pool: Pool,
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

/// How long one connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Client {
    /// Makes a client; nothing is connected yet.
    ///
    /// # Errors
    /// [`SetUpError`] where the settings or the system do not allow it.
    pub fn new(
        url: UpstreamUrl,
        credential: &Secret,
        timeout: Duration,
        max_response_bytes: usize,
    ) -> Result<Self, SetUpError> {
        let tls = if url.is_tls {
            Some(Tls::new(&url.host)?)
        } else {
            None
        };
        let host = HeaderValue::try_from(url.authority()).map_err(|_| SetUpError::BadHost)?;
        let mut credential =
            HeaderValue::try_from(credential.reveal()).map_err(|_| SetUpError::BadCredential)?;
        credential.set_sensitive(true);
        let translation = Translation { host, credential };
        Ok(Self {
            url,
            tls,
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

    /// Sends one request and reads the whole reply, within one total deadline.
    ///
    /// A request that never started is sent again, once, on a new connection; so is a read (`operation` is no
    /// write) that died without a byte of an answer on a connection that had been idle. Nothing else is.
    ///
    /// # Errors
    /// [`Failure`]; its variants say whether the request may have been acted on.
    pub async fn send(
        &self,
        operation: Operation,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, Failure> {
        let request = self
            .request(operation.method(), path_and_query, headers, body)
            .map_err(|error| Failure::Unreachable(io::Error::other(error)))?;
        match timeout(self.timeout, self.send_at_most_twice(operation, request)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Failure::Timeout(self.timeout)),
        }
    }

    fn request(
        &self,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, InvalidUri> {
        let uri: Uri = if self.url.path_prefix.is_empty() {
            path_and_query.parse()?
        } else {
            format!("{}{path_and_query}", self.url.path_prefix).parse()?
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    async fn send_at_most_twice(
        &self,
        operation: Operation,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, Failure> {
        let Some(link) = self.pool.take() else {
            return self.send_on_new(request).await;
        };
        let spare = (!operation.is_write()).then(|| request.clone());
        match (self.send_on(link, request).await, spare) {
            (Err(LinkFailure::NotSent(request)), _) => self.send_on_new(*request).await,
            (Err(LinkFailure::Broken { is_silent: true, .. }), Some(spare)) => self.send_on_new(spare).await,
            (outcome, _) => outcome.map_err(LinkFailure::into_failure),
        }
    }

    async fn send_on_new(&self, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
        let link = self.connect().await?;
        self.send_on(link, request)
            .await
            .map_err(LinkFailure::into_failure)
    }

    async fn send_on(
        &self,
        mut link: Box<Link>,
        request: Request<Full<Bytes>>,
    ) -> Result<Reply, LinkFailure> {
        let reply = link.exchange(request, self.max_response_bytes).await?;
        self.pool.put(link);
        Ok(reply)
    }

    async fn connect(&self) -> Result<Box<Link>, Failure> {
        match timeout(CONNECT_TIMEOUT.min(self.timeout), self.open()).await {
            Ok(opened) => opened.map_err(Failure::Unreachable),
            Err(_elapsed) => Err(Failure::ConnectTimeout(CONNECT_TIMEOUT.min(self.timeout))),
        }
    }

    async fn open(&self) -> io::Result<Box<Link>> {
        let addresses: Vec<SocketAddr> = lookup_host((self.url.host.as_str(), self.url.port))
            .await?
            .collect();
        let stream = TcpStream::connect(addresses.as_slice()).await?;
        stream.set_nodelay(true)?;
        let transport = match &self.tls {
            Some(tls) => Transport::Tls(Box::new(tls.connect(stream).await?)),
            None => Transport::Plain(stream),
        };
        Link::open(transport)
            .await
            .map(Box::new)
            .map_err(io::Error::other)
    }
}

fn in_seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
