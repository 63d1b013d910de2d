//! Connections to a collector.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::{OtlpProtocol, PemFile, SpanExport, tls_provider};

/// Makes connections to one collector. It is asked for by name each time, so that one that has moved is found, and the
/// file of authorities is read each time.
#[derive(Clone)]
pub(super) struct Connector(Arc<SpanExport>);

/// A connection, within TLS or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) type Connection = TokioIo<Box<dyn Stream>>;

impl Connector {
    pub(super) const fn new(export: Arc<SpanExport>) -> Self {
        Self(export)
    }

    pub(super) async fn connect(&self) -> io::Result<Connection> {
        let collector = &self.0.collector;
        let stream = TcpStream::connect((collector.host.as_str(), collector.port)).await?;
        stream.set_nodelay(true)?;
        if !collector.is_tls {
            return Ok(TokioIo::new(Box::new(stream)));
        }
        let name = ServerName::try_from(collector.host.clone()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        Ok(TokioIo::new(Box::new(connector.connect(name, stream).await?)))
    }

    fn tls(&self) -> io::Result<ClientConfig> {
        let roots = match &self.0.ca_file {
            Some(path) => roots_in(path)?,
            None => system_roots()?,
        };
        let builder = ClientConfig::builder_with_provider(tls_provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![match self.0.protocol {
            OtlpProtocol::Grpc => b"h2".to_vec(),
            OtlpProtocol::Http => b"http/1.1".to_vec(),
        }];
        Ok(config)
    }
}

fn roots_in(path: &Path) -> io::Result<RootCertStore> {
    let (roots, _) = PemFile::read(path)
        .and_then(|file| file.roots(Timestamp::now()))
        .map_err(io::Error::other)?;
    Ok(roots)
}

fn system_roots() -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(io::Error::other("no root certificates found on this system"));
    }
    Ok(roots)
}

/// As the client of gRPC asks for connections: it knows no other address.
impl tower::Service<Uri> for Connector {
    type Response = Connection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await })
    }
}
