use std::sync::Arc;

use rustls::ClientConfig;

use crate::config::{CertificateError, PemFile, ServerTls, tls_provider};
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
    let provider = tls_provider();
    let verifier = PinnedCertificates::new(own, "admin.tls", Arc::clone(&provider));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| CertificateError::Unusable {
            path: "admin.tls".to_owned(),
            reason: error.to_string(),
        })?;
    Ok(config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}
