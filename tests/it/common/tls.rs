//! Certificates made for a test, and clients that speak TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::client::{Connection, Request, Response};
use super::envgate::Setup;

/// Who signs the certificates of a test.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "the authority of a test");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name, which is its common name too.
    pub fn issue(&self, name: &str) -> Pair {
        self.issue_until(name, 2099)
    }

    /// The same, until the first day of a year.
    pub fn issue_until(&self, name: &str, year: i32) -> Pair {
        self.sign(name, (year, 1, 1))
    }

    /// The same, for so many days.
    pub fn issue_for_days(&self, name: &str, days: i64) -> Pair {
        let end = Timestamp::now() + SignedDuration::from_hours(24 * days);
        let end = end.to_zoned(TimeZone::UTC);
        self.sign(name, (end.year().into(), end.month(), end.day()))
    }

    fn sign(&self, name: &str, (year, month, day): (i32, i8, i8)) -> Pair {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(year, month.try_into().unwrap(), day.try_into().unwrap());
        let key = KeyPair::generate().unwrap();
        Pair {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Pair {
    /// Writes both into a directory, as `name.crt` and `name.key`.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let path = |end: &str| directory.join(format!("{name}.{end}"));
        std::fs::write(path("crt"), &self.certificate).unwrap();
        std::fs::write(path("key"), &self.key).unwrap();
        (path("crt"), path("key"))
    }

    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

/// Settings under which tenants connect with TLS, with a certificate for `localhost` in `listen.crt`.
pub fn with_tls(setup: Setup, authority: &Authority) -> Setup {
    authority.issue("localhost").write(setup.path(), "listen");
    setup
        .set("ENVGATE_LISTEN__TLS__CERTIFICATE", "listen.crt")
        .set("ENVGATE_LISTEN__TLS__KEY", "listen.key")
}

/// What a client speaks, whom it trusts, and whom it shows itself as.
#[derive(Clone)]
pub struct TlsClient {
    config: ClientConfig,
    name: String,
}

/// A connection within TLS.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

impl TlsClient {
    pub fn new(authority: &Authority) -> Self {
        Self::build(authority, rustls::ALL_VERSIONS, None)
    }

    pub fn with_versions(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> Self {
        Self::build(authority, versions, None)
    }

    pub fn with_certificate(authority: &Authority, own: &Pair) -> Self {
        Self::build(authority, rustls::ALL_VERSIONS, Some(own))
    }

    fn build(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Pair>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![own.der()], key).unwrap()
            }
        };
        let name = "localhost".to_owned();
        Self { config, name }
    }

    /// The same, that asks for another name.
    pub fn for_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same, that offers these protocols.
    pub fn speaking(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::new(self.config.clone())
    }

    /// Shakes hands with whoever listens.
    pub fn try_connect(&self, address: SocketAddr) -> std::io::Result<TlsStream> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from(self.name.clone()).unwrap();
        let mut connection = ClientConnection::new(self.config(), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(connection, socket))
    }

    #[track_caller]
    pub fn connect(&self, address: SocketAddr) -> TlsStream {
        self.try_connect(address).unwrap()
    }

    /// Sends a request of HTTP/1.1 on a connection of its own, and reads the answer.
    #[track_caller]
    pub fn send(&self, address: SocketAddr, request: &Request) -> Response {
        let mut connection = Connection::over_tls(self.connect(address));
        connection.write(&request.bytes());
        connection.read_response()
    }

    /// Whether a request is let in: a client may learn only then that its certificate is missing or no good.
    pub fn is_let_in(&self, address: SocketAddr, request: &Request) -> bool {
        let Ok(mut stream) = self.try_connect(address) else {
            return false;
        };
        let mut first = [0; 8];
        stream.write_all(&request.bytes()).is_ok() && stream.read_exact(&mut first).is_ok()
    }
}
