use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::SetUpError;

/// What it takes to speak TLS with one upstream: the system's root certificates, the ring provider, HTTP/1.1.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    server: ServerName<'static>,
}

impl Tls {
    pub(super) fn new(host: &str) -> Result<Self, SetUpError> {
        let server = ServerName::try_from(host.to_owned()).map_err(|_| SetUpError::BadHost)?;
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(SetUpError::NoRootCertificates);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(SetUpError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            connector: Arc::new(config).into(),
            server,
        })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.server.clone(), stream).await
    }
}
