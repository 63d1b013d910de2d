//! A client of the running gateway's admin API.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::admin_tls;
use crate::config::{self, CertificateError};
use crate::server::read_body;
use crate::text::Secret;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Why the admin API did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdminError {
    #[error("expected the URL of the admin API, such as http://127.0.0.1:9090")]
    BadUrl,
    #[error(
        "the admin API is asked within TLS, and admin.tls in the settings names no certificate that it shows"
    )]
    NoCertificate,
    #[error("admin.tls: {0}")]
    Certificate(#[from] CertificateError),
    #[error("admin.address has port 0, which says nothing of where the gateway is; name it with --admin URL")]
    NoPort,
    #[error(
        "the admin token is missing: set ENVGATE_ADMIN__TOKEN, or admin.token in the settings, as the gateway has it"
    )]
    NoToken,
    #[error(
        "no gateway answers at {authority}: {reason}; start it with envgate serve, or name it with --admin URL"
    )]
    Unreachable { authority: String, reason: String },
    #[error("the gateway at {authority} does not take the admin token: {detail}")]
    Unauthorised { authority: String, detail: String },
    #[error("{0}")]
    Refused(String),
    #[error("what answers at {0} is not the admin API of a gateway")]
    NotTheApi(String),
    #[error("the answer of {authority} did not arrive: {reason}; what was done by then is done")]
    Broken { authority: String, reason: String },
}

/// The admin API of one gateway.
pub(super) struct AdminClient {
    /// Host and port.
    authority: String,
    /// None where it speaks plain HTTP.
    tls: Option<TlsConnector>,
    /// None where nothing is asked that wants one.
    authorization: Option<HeaderValue>,
}

/// A connection, plain or within TLS.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

impl AdminClient {
    /// A client of the gateway that the settings describe, or of the one at `url`.
    pub(super) fn new(settings: &config::Admin, url: Option<&str>) -> Result<Self, AdminError> {
        let (is_tls, authority) = match url {
            Some(url) => authority(url).ok_or(AdminError::BadUrl)?,
            None => {
                let address = reachable(settings.address).ok_or(AdminError::NoPort)?;
                (settings.tls.is_some(), address.to_string())
            }
        };
        let tls = match (is_tls, &settings.tls) {
            (false, _) => None,
            (true, None) => return Err(AdminError::NoCertificate),
            (true, Some(tls)) => Some(Arc::new(admin_tls::client_config(tls)?).into()),
        };
        let strongest = settings.api_tokens().max_by_key(|(_, _, rights)| *rights);
        let authorization = strongest.map(|(_, token, _)| bearer(token)).transpose()?;
        Ok(Self {
            authority,
            tls,
            authorization,
        })
    }

    /// A client of what listens at an address, for what anybody may ask.
    pub(super) fn without_token(address: SocketAddr, tls: Option<ClientConfig>) -> Result<Self, AdminError> {
        let address = reachable(address).ok_or(AdminError::NoPort)?;
        Ok(Self {
            authority: address.to_string(),
            tls: tls.map(|tls| Arc::new(tls).into()),
            authorization: None,
        })
    }

    /// Host and port of the gateway.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The answer of a path, whatever it is.
    pub(super) async fn look_at(&self, path: &str) -> Result<(StatusCode, Bytes), AdminError> {
        self.send(Method::GET, path, None).await
    }

    /// The document at a path.
    pub(super) async fn get(&self, path: &str) -> Result<Value, AdminError> {
        self.ask(Method::GET, path, None).await
    }

    /// Posts a document, and gives back the one that answers it.
    pub(super) async fn post(&self, path: &str, document: &Value) -> Result<Value, AdminError> {
        // Without one the API can only be read.
        if self.authorization.is_none() {
            return Err(AdminError::NoToken);
        }
        self.ask(Method::POST, path, Some(document)).await
    }

    async fn ask(&self, method: Method, path: &str, document: Option<&Value>) -> Result<Value, AdminError> {
        let (status, body) = timeout(ANSWER_TIMEOUT, self.send(method, path, document))
            .await
            .map_err(|_elapsed| self.broken("it took too long"))??;
        let authority = || self.authority.clone();
        let answer: Value =
            serde_json::from_slice(&body).map_err(|_| AdminError::NotTheApi(self.authority.clone()))?;
        if status.is_success() {
            return Ok(answer);
        }
        let detail = answer.get("detail").and_then(Value::as_str).map(str::to_owned);
        match (detail, status) {
            (None, _) => Err(AdminError::NotTheApi(authority())),
            (Some(detail), StatusCode::UNAUTHORIZED) => Err(AdminError::Unauthorised {
                authority: authority(),
                detail,
            }),
            (Some(detail), _) => Err(AdminError::Refused(detail)),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        document: Option<&Value>,
    ) -> Result<(StatusCode, Bytes), AdminError> {
        let body = document.map_or(Bytes::new(), |document| Bytes::from(document.to_string()));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| self.broken(error))?;
        let connected = timeout(CONNECT_TIMEOUT, self.connect()).await;
        let stream = connected
            .map_err(|_elapsed| io::Error::from(io::ErrorKind::TimedOut))
            .flatten()
            .map_err(|error| AdminError::Unreachable {
                authority: self.authority.clone(),
                reason: cause(&error).to_string(),
            })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(cause(&error)))?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| self.broken(cause(&error)))?;
        let status = response.status();
        let body = read_body(response.into_body(), MAX_ANSWER_BYTES).await;
        Ok((status, body.map_err(|error| self.broken(error))?))
    }

    async fn connect(&self) -> io::Result<Box<dyn Transport>> {
        let stream = TcpStream::connect(&self.authority).await?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        // Nobody compares it: the certificate as a whole is known.
        let name = ServerName::from(stream.peer_addr()?.ip());
        let stream = tls.connect(name, stream).await.map_err(explain)?;
        Ok(Box::new(stream))
    }

    pub(super) fn broken(&self, reason: impl ToString) -> AdminError {
        AdminError::Broken {
            authority: self.authority.clone(),
            reason: reason.to_string(),
        }
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, AdminError> {
    let header = HeaderValue::try_from(format!("Bearer {}", token.reveal()));
    let mut header = header.map_err(|_| AdminError::NoToken)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Says what is wrong with the certificate that was shown, where that is it.
fn explain(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    match cause {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))) => {
            io::Error::new(error.kind(), format!("its certificate is of no use: {other}"))
        }
        _ => error,
    }
}

/// What lies under an error that only says which step failed.
fn cause(error: &dyn Error) -> &dyn Error {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

/// Whether a URL that has nothing but host and port is one of TLS, and those.
fn authority(url: &str) -> Option<(bool, String)> {
    let url = Url::parse(url).ok()?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    let is_tls = match url.scheme() {
        "http" => false,
        "https" => true,
        _ => return None,
    };
    if !is_bare || !is_anonymous {
        return None;
    }
    Some((
        is_tls,
        format!("{}:{}", url.host()?, url.port_or_known_default()?),
    ))
}

/// Where to reach what listens at an address: one that listens on all of this machine's is on its loopback
/// too.
fn reachable(address: SocketAddr) -> Option<SocketAddr> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (address.port() != 0).then(|| SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_perhaps_a_port() {
        for (url, expected) in [
            ("http://127.0.0.1:9090", Some((false, "127.0.0.1:9090"))),
            ("http://[::1]:9090/", Some((false, "[::1]:9090"))),
            ("http://gateway.internal", Some((false, "gateway.internal:80"))),
            ("https://gateway.internal", Some((true, "gateway.internal:443"))),
            ("ftp://127.0.0.1:9090", None),
            ("127.0.0.1:9090", None),
            ("http://user@127.0.0.1", None),
            ("http://127.0.0.1/api", None),
            ("http://127.0.0.1/?a", None),
        ] {
            let found = authority(url);
            let found = found
                .as_ref()
                .map(|(is_tls, authority)| (*is_tls, authority.as_str()));
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback() {
        let reached = |address: &str| Some(reachable(address.parse().unwrap())?.to_string());
        assert_eq!(reached("0.0.0.0:9090").as_deref(), Some("127.0.0.1:9090"));
        assert_eq!(reached("[::]:9090").as_deref(), Some("[::1]:9090"));
        assert_eq!(reached("10.0.0.1:9090").as_deref(), Some("10.0.0.1:9090"));
        assert_eq!(reached("127.0.0.1:0"), None);
    }
}
