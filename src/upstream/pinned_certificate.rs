use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use crate::config::Validity;

/// Takes a server that shows one of these certificates, byte for byte, while it is valid, and proves that it has
/// its key.
///
/// Who signed it does not matter, and neither does what is in it: `openssl req -x509` makes certificates that are
/// their own authority, which no server is to show by RFC 5280, often without the name that they are used under.
/// The name is not compared, because nobody but its owner has the key of exactly this certificate.
#[derive(Debug)]
pub struct PinnedCertificates {
    setting: &'static str,
    pinned: Vec<(CertificateDer<'static>, Validity)>,
    provider: Arc<CryptoProvider>,
}

/// It shows a certificate that is not among those that this setting names.
#[derive(Debug)]
struct NotPinned(&'static str);

impl PinnedCertificates {
    /// Takes those certificates alone, which a setting of this name has named.
    #[must_use]
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        setting: &'static str,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        let pinned = certificates
            .into_iter()
            .filter_map(|certificate| Validity::of(&certificate).map(|validity| (certificate, validity)));
        Self {
            setting,
            pinned: pinned.collect(),
            provider,
        }
    }
}

impl ServerCertVerifier for PinnedCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut pinned = self.pinned.iter();
        let Some((_, validity)) = pinned.find(|(certificate, _)| certificate == end_entity) else {
            return Err(CertificateError::Other(OtherError(Arc::new(NotPinned(self.setting)))).into());
        };
        let now = i64::try_from(now.as_secs())
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or(Error::FailedToGetCurrentTime)?;
        if now < validity.not_before {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > validity.not_after {
            return Err(CertificateError::Expired.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is not one of {}", self.0)
    }
}

impl std::error::Error for NotPinned {}
