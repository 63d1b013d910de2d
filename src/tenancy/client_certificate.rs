use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// Whom the certificate of a client says that it is. That it may say so was judged during the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The whole of its subject, as in `C=DE, O=Example, CN=builder`.
    pub subject: String,
    common_names: Vec<String>,
    alternative_names: Vec<String>,
}

impl ClientCertificate {
    /// Reads a certificate; none where it cannot be understood.
    #[must_use]
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let common_names = certificate.subject().iter_common_name();
        let alternative_names = certificate.subject_alternative_name().ok()?;
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => {
                Some((*name).to_owned())
            }
            _ => None,
        };
        Some(Self {
            subject: certificate.subject().to_string(),
            common_names: common_names
                .filter_map(|name| Some(name.as_str().ok()?.to_owned()))
                .collect(),
            alternative_names: alternative_names
                .map(|names| names.value.general_names.iter().filter_map(name).collect())
                .unwrap_or_default(),
        })
    }

    /// Whether it says this: as its common name, as the whole of its subject, or among its other names.
    #[must_use]
    pub fn says(&self, wanted: &str) -> bool {
        let mut names = self.common_names.iter().chain(&self.alternative_names);
        names.any(|name| name == wanted) || without_blanks(&self.subject) == without_blanks(wanted)
    }
}

/// Some write a blank after the comma, some do not.
fn without_blanks(subject: &str) -> Vec<&str> {
    subject.split(',').map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_says_its_common_name_its_subject_and_its_other_names() {
        let mut params = CertificateParams::new(["builder.example".to_owned()]).unwrap();
        params
            .subject_alt_names
            .push(SanType::URI("spiffe://example/builder".try_into().unwrap()));
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "builder");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let read = ClientCertificate::read(certificate.der()).unwrap();
        for name in [
            "builder",
            "builder.example",
            "spiffe://example/builder",
            "O=Example,CN=builder",
        ] {
            assert!(read.says(name), "{name}: {read:?}");
        }
        for name in ["", "Example", "build", "CN=builder", "builder.example.com"] {
            assert!(!read.says(name), "{name}: {read:?}");
        }
        assert_eq!(
            ClientCertificate::read(&CertificateDer::from(&b"no certificate"[..])),
            None
        );
    }
}
