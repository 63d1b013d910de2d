use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, SignatureScheme};

use crate::config::{CertificateError, KeyPairFiles, PemFile, ServerTls, key_pair, tls_provider};
use crate::upstream::PinnedCertificates;

/// TLS with the gateway that the settings describe: it has to show one of its own certificates. Whoever reads
/// the settings knows them, so nobody else has to vouch for them, under whatever name it is reached.
pub(super) fn client_config(settings: &ServerTls) -> Result<ClientConfig, CertificateError> {
    let own = settings
        .certificates
        .iter()
        .map(|pair| PemFile::read(&pair.certificate)?.certificates())
        .collect::<Result<Vec<_>, _>>()?;
    let own = own
        .into_iter()
        .filter_map(|chain| chain.into_iter().next())
        .collect();
    let verifier = PinnedCertificates::new(own, "admin.tls", tls_provider());
    let client = settings
        .certificates
        .first()
        .filter(|_| settings.client_ca.is_some());
    Ok(show(builder(Arc::new(verifier))?, client))
}

/// TLS with whatever listens at this machine's own admin address, for a question that gives nothing away. A
/// certificate that has expired while it is in use, or was replaced a moment ago, says nothing about health.
pub(super) fn unverified_config(client: Option<&KeyPairFiles>) -> Result<ClientConfig, CertificateError> {
    Ok(show(builder(Arc::new(Unverified(tls_provider())))?, client))
}

fn builder(
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, CertificateError> {
    let builder = ClientConfig::builder_with_provider(tls_provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| CertificateError::Unusable {
            path: "admin.tls".to_owned(),
            reason: error.to_string(),
        })?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

/// Shows the address its own certificate, where it wants one. Without the right to read its key there is none to show,
/// and the address says what it thinks of that.
fn show(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    client: Option<&KeyPairFiles>,
) -> ClientConfig {
    let read = |files: &KeyPairFiles| {
        let (certificate, key) = (PemFile::read(&files.certificate)?, PemFile::read(&files.key)?);
        key_pair(&certificate, &key, Timestamp::now())
    };
    match client.map(read) {
        Some(Ok((pair, _))) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))),
        Some(Err(_)) | None => builder.with_no_client_auth(),
    }
}

/// Takes whatever certificate is shown.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
