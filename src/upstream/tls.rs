//! TLS with an upstream: whom it has to be, and who the gateway is.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError as Rejection, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::SetUpError;
use super::pinned_certificate::PinnedCertificates;
use crate::config::{CertificateError, PemFile, UpstreamTls, Validity, key_pair, tls_provider};
use crate::telemetry::CertificateFiles;

/// What it takes to speak TLS with one upstream: swapped as a whole where files change, while connections keep what
/// they began with.
pub(super) struct Tls {
    settings: UpstreamTls,
    server: ServerName<'static>,
    current: ArcSwap<Current>,
    /// What the upstream has shown last.
    shown: ArcSwapOption<CertificateDer<'static>>,
}

/// What the files held when they were last good.
struct Current {
    files: Vec<PemFile>,
    connector: TlsConnector,
    certificates: Vec<CertificateFile>,
}

/// A file with certificates of an upstream, or for one.
#[derive(Clone, Debug)]
pub struct CertificateFile {
    /// The setting that names it.
    pub setting: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// Until when it is good.
    pub validity: Validity,
}

impl Tls {
    pub(super) fn new(host: &str, settings: &UpstreamTls) -> Result<Self, SetUpError> {
        let server = ServerName::try_from(host.to_owned()).map_err(|_| SetUpError::BadHost)?;
        let current = build(settings, read(settings)?)?;
        Ok(Self {
            settings: settings.clone(),
            server,
            current: ArcSwap::from_pointee(current),
            shown: ArcSwapOption::empty(),
        })
    }

    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let connector = self.current.load().connector.clone();
        let stream = connector
            .connect(self.server.clone(), stream)
            .await
            .map_err(explain)?;
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        self.shown
            .store(shown.map(|shown| Arc::new(shown.clone().into_owned())));
        Ok(stream)
    }

    /// Until when the certificate is good that the upstream has shown last.
    pub(super) fn shown_validity(&self) -> Option<Validity> {
        self.shown.load().as_deref().and_then(Validity::of)
    }

    /// The files that are in use now; none where the system's root certificates are all there is.
    pub(super) fn certificates(&self) -> Vec<CertificateFile> {
        self.current.load().certificates.clone()
    }

    /// Whether the system says whom to trust.
    pub(super) const fn trusts_system(&self) -> bool {
        self.settings.ca_file.is_none() && self.settings.pinned_certificate.is_none()
    }
}

impl CertificateFiles for Tls {
    type Error = SetUpError;

    fn look(&self) -> Result<bool, SetUpError> {
        let files = read(&self.settings)?;
        if files == self.current.load().files {
            return Ok(false);
        }
        let current = build(&self.settings, files)?;
        self.current.store(Arc::new(current));
        Ok(true)
    }

    fn validities(&self) -> Vec<(PathBuf, Validity)> {
        let current = self.current.load();
        let files = current.certificates.iter();
        files.map(|file| (file.path.clone(), file.validity)).collect()
    }
}

/// All files, in the order in which [`build`] takes them.
fn read(settings: &UpstreamTls) -> Result<Vec<PemFile>, CertificateError> {
    let trusted = settings.ca_file.iter().chain(&settings.pinned_certificate);
    let client = settings.client.iter();
    let client = client.flat_map(|pair| [&pair.certificate, &pair.key]);
    trusted.chain(client).map(|path| PemFile::read(path)).collect()
}

fn build(settings: &UpstreamTls, files: Vec<PemFile>) -> Result<Current, SetUpError> {
    let now = Timestamp::now();
    let provider = tls_provider();
    let mut certificates = Vec::new();
    let mut add = |setting, file: &PemFile, validity| {
        certificates.push(CertificateFile {
            setting,
            path: file.path().to_owned(),
            validity,
        });
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(SetUpError::Tls)?;
    let mut unused = files.iter();
    let builder = if settings.ca_file.is_some()
        && let Some(file) = unused.next()
    {
        let (roots, validity) = file.roots(now)?;
        add("upstream.ca_file", file, validity);
        builder.with_root_certificates(roots)
    } else if settings.pinned_certificate.is_some()
        && let Some(file) = unused.next()
    {
        let (_, validity) = file.roots(now)?;
        add("upstream.pinned_certificate", file, validity);
        let verifier = PinnedCertificates::new(file.certificates()?, "upstream.pinned_certificate", provider);
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
    } else {
        builder.with_root_certificates(system_roots()?)
    };
    let mut config = match (unused.next(), unused.next()) {
        (Some(certificate), Some(key)) => {
            let (pair, validity) = key_pair(certificate, key, now)?;
            add("upstream.client_certificate", certificate, validity);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Current {
        connector: Arc::new(config).into(),
        certificates,
        files,
    })
}

fn system_roots() -> Result<RootCertStore, SetUpError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(SetUpError::NoRootCertificates);
    }
    Ok(roots)
}

/// Says what an operator can do about a certificate that is not trusted.
fn explain(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let Some(rustls::Error::InvalidCertificate(rejection)) = cause else {
        return error;
    };
    let told = match rejection {
        Rejection::UnknownIssuer => {
            "its certificate is signed by nobody who is trusted; upstream.ca_file can name who has".to_owned()
        }
        Rejection::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "its certificate is its own authority, so upstream.pinned_certificate has to name it".to_owned()
        }
        Rejection::Other(other) => format!("its certificate is of no use: {other}"),
        _ => return error,
    };
    io::Error::new(error.kind(), told)
}
