use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::client::verify_server_name;
use rustls::crypto::ring::Ticketer;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connections::OpenConnection;
use super::socket::{ClientSocket, HTTP_2};
use crate::config::{self, CertificateError, PemFile, TlsVersion, Validity, key_pair, tls_provider};
use crate::telemetry::CertificateFiles;

/// The name of HTTP/1.1 in the handshake (RFC 7301).
const HTTP_1: &[u8] = b"http/1.1";

/// What is spoken within TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 with clients that know it.
    Http2AndHttp1,
}

/// TLS of one address: the certificates that it has now, swapped as a whole where their files change.
/// Connections keep what they began with.
#[derive(Debug)]
pub struct TlsListener {
    protocols: Protocols,
    current: ArcSwap<Current>,
    /// Whoever changes what is current is alone with it.
    changing: Mutex<()>,
}

/// What the settings say, and what the files held when they were last good.
#[derive(Debug)]
struct Current {
    settings: config::ServerTls,
    files: Vec<PemFile>,
    config: Arc<ServerConfig>,
    validities: Vec<(PathBuf, Validity)>,
}

/// What the TLS of an address can go by from the next handshake on.
#[derive(Debug)]
pub struct PreparedTls(Current);

/// The certificates of one address, the default one first.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl TlsListener {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn new(settings: config::ServerTls, protocols: Protocols) -> Result<Self, CertificateError> {
        let current = build(settings, protocols)?;
        Ok(Self {
            protocols,
            current: ArcSwap::from_pointee(current),
            changing: Mutex::default(),
        })
    }

    /// Prepares to go by other settings, with what their files hold now.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn prepare(&self, settings: config::ServerTls) -> Result<PreparedTls, CertificateError> {
        build(settings, self.protocols).map(PreparedTls)
    }

    /// Goes by what was prepared with every handshake from now on.
    pub fn put_in_force(&self, PreparedTls(prepared): PreparedTls) {
        let _alone = self.changing.lock();
        let before = self.current.load();
        // What is the same goes on: its tickets are good for the next handshake of those who have one.
        if (&before.settings, &before.files) != (&prepared.settings, &prepared.files) {
            self.current.store(Arc::new(prepared));
        }
    }

    async fn shake_hands(&self, socket: TcpStream) -> io::Result<ClientSocket> {
        let config = Arc::clone(&self.current.load().config);
        Ok(ClientSocket::Tls(Box::new(
            TlsAcceptor::from(config).accept(socket).await?,
        )))
    }
}

impl CertificateFiles for TlsListener {
    type Error = CertificateError;

    fn look(&self) -> Result<bool, CertificateError> {
        let _alone = self.changing.lock();
        let current = self.current.load();
        if read(&current.settings)? == current.files {
            return Ok(false);
        }
        let settings = current.settings.clone();
        self.current.store(Arc::new(build(settings, self.protocols)?));
        Ok(true)
    }

    fn validities(&self) -> Vec<(PathBuf, Validity)> {
        self.current.load().validities.clone()
    }
}

/// Makes of a socket what its address speaks. There is nothing where the client leaves, does not speak TLS, has
/// no certificate and needs one, takes longer than `longest`, or where its connection makes room for another.
pub async fn establish(
    tls: Option<&TlsListener>,
    socket: TcpStream,
    open: &OpenConnection,
    longest: Duration,
) -> Option<ClientSocket> {
    let Some(tls) = tls else {
        return Some(ClientSocket::Plain(socket));
    };
    // On the heap, because nothing later on a connection needs as much room.
    let handshake = Box::pin(timeout(longest, tls.shake_hands(socket)));
    let reason = tokio::select! {
        biased;
        outcome = handshake => match outcome {
            Ok(Ok(socket)) => return Some(socket),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "it took too long".to_owned(),
        },
        () = open.closed() => "the connection had to make room".to_owned(),
    };
    tracing::debug!(reason, "a client did not get as far as to speak TLS");
    open.count_failed_handshake();
    None
}

/// All files, in the order in which [`build`] takes them.
fn read(settings: &config::ServerTls) -> Result<Vec<PemFile>, CertificateError> {
    let pairs = settings.certificates.iter();
    let of_pairs = pairs.flat_map(|pair| [&pair.certificate, &pair.key]);
    of_pairs
        .chain(&settings.client_ca)
        .map(|path| PemFile::read(path))
        .collect()
}

fn build(settings: config::ServerTls, protocols: Protocols) -> Result<Current, CertificateError> {
    let files = read(&settings)?;
    let now = Timestamp::now();
    let (pairs, rest) = files
        .split_at_checked(2 * settings.certificates.len())
        .unwrap_or_default();
    let (mut certificates, mut validities) = (Vec::new(), Vec::new());
    for pair in pairs.chunks_exact(2) {
        if let [certificate, key] = pair {
            let (pair, validity) = key_pair(certificate, key, now)?;
            validities.push((certificate.path().to_owned(), validity));
            certificates.push(Arc::new(pair));
        }
    }
    let first = certificates.first().and_then(|_| files.first());
    let unusable = |error: &dyn std::fmt::Display| CertificateError::Unusable {
        path: first.map_or(Path::new(""), PemFile::path).display().to_string(),
        reason: error.to_string(),
    };
    let versions: &[&SupportedProtocolVersion] = match settings.min_version {
        TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => &[&version::TLS13],
    };
    let provider = tls_provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| unusable(&error))?;
    let builder = match rest.first() {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let (roots, validity) = file.roots(now)?;
            validities.push((file.path().to_owned(), validity));
            let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            if !settings.needs_client_certificate {
                verifier = verifier.allow_unauthenticated();
            }
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(&error))?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Certificates(certificates)));
    config.alpn_protocols = match protocols {
        Protocols::Http1 => vec![HTTP_1.to_vec()],
        Protocols::Http2AndHttp1 => vec![HTTP_2.to_vec(), HTTP_1.to_vec()],
    };
    // Sealed for the client to keep, so that nothing is held here for those who may come back.
    config.ticketer = Ticketer::new().map_err(|error| unusable(&error))?;
    Ok(Current {
        settings,
        config: Arc::new(config),
        validities,
        files,
    })
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello
            .server_name()
            .and_then(|name| ServerName::try_from(name).ok());
        let named = name.and_then(|name| self.0.iter().find(|certificate| has_name(certificate, &name)));
        named.or_else(|| self.0.first()).cloned()
    }
}

fn has_name(certificate: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Some(parsed) = certificate.cert.first().map(ParsedCertificate::try_from) else {
        return false;
    };
    parsed.is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
}
