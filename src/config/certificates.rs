//! Files with certificates and keys: read, and judged before anything is built on them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

/// Larger than any bundle of certificates, and small enough to be read again and again.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// How far the clocks of issuers may be ahead.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_mins(5);
/// How many days before its end a certificate is warned of.
pub const EXPIRY_WARNING_DAYS: i64 = 14;

/// Why a file is of no use for TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is missing, or the process may not read it.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// It has no section between `-----BEGIN` and `-----END`, or one that is broken.
    #[error("{0} is not PEM: a certificate or key in it begins with -----BEGIN")]
    NotPem(String),
    /// It has sections, and none is a certificate.
    #[error("there is no certificate in {0}")]
    NoCertificate(String),
    /// It has sections, and none is a key.
    #[error("there is no private key in {0}")]
    NoKey(String),
    /// Its key needs a passphrase.
    #[error(
        "the private key in {0} is encrypted; envgate asks for no passphrase, so it has to be stored without"
    )]
    EncryptedKey(String),
    /// Something in it has the name of a certificate, and is none.
    #[error("a certificate in {0} cannot be understood")]
    BadCertificate(String),
    /// The key is broken, or of a kind that nobody supports.
    #[error("the private key in {0} is broken, or neither RSA, ECDSA nor Ed25519")]
    BadKey(String),
    /// Certificate and key are not of one pair.
    #[error("the key in {key} belongs to another certificate than the first one in {certificate}")]
    OtherKey {
        /// The file with the certificate.
        certificate: String,
        /// The file with the key.
        key: String,
    },
    /// Its time is over.
    #[error("the certificate in {path} expired on {}", moment(*.not_after))]
    Expired {
        /// The file.
        path: String,
        /// When.
        not_after: Timestamp,
    },
    /// Its time has not begun.
    #[error("the certificate in {path} is valid only from {}", moment(*.not_before))]
    NotYetValid {
        /// The file.
        path: String,
        /// When it begins.
        not_before: Timestamp,
    },
    /// TLS cannot be set up with it, for another reason.
    #[error("TLS cannot be set up with {path}: {reason}")]
    Unusable {
        /// The file.
        path: String,
        /// What the library says.
        reason: String,
    },
}

/// The content of a file with certificates, a key, or both.
#[derive(Clone, PartialEq, Eq)]
pub struct PemFile {
    path: PathBuf,
    content: Zeroizing<Vec<u8>>,
}

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its first moment.
    pub not_before: Timestamp,
    /// Its last.
    pub not_after: Timestamp,
}

/// The provider of every TLS client and server.
#[must_use]
pub fn tls_provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl PemFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`CertificateError::Unreadable`]
    pub fn read(path: &Path) -> Result<Self, CertificateError> {
        let unreadable = |reason: String| CertificateError::Unreadable {
            path: path.display().to_string(),
            reason,
        };
        let mut content = Zeroizing::new(Vec::new());
        // Not by its size, which a device does not have.
        let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content));
        let size = read.map_err(|error| unreadable(error.to_string()))?;
        if u64::try_from(size).map_or(true, |size| size > MAX_FILE_BYTES) {
            return Err(unreadable(format!("it is larger than {MAX_FILE_BYTES} bytes")));
        }
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its certificates, at least one, in their order.
    ///
    /// # Errors
    /// Where there is none, or one that is broken.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&self.content)
            .collect::<Result<_, pem::Error>>()
            .map_err(|_| CertificateError::NotPem(self.name()))?;
        match certificates.as_slice() {
            [] if self.has_sections() => Err(CertificateError::NoCertificate(self.name())),
            [] => Err(CertificateError::NotPem(self.name())),
            all if all.iter().any(|certificate| Validity::of(certificate).is_none()) => {
                Err(CertificateError::BadCertificate(self.name()))
            }
            _ => Ok(certificates),
        }
    }

    /// Its first private key.
    ///
    /// # Errors
    /// Where there is none.
    pub fn key(&self) -> Result<PrivateKeyDer<'static>, CertificateError> {
        PrivateKeyDer::from_pem_slice(&self.content).map_err(|error| match error {
            pem::Error::NoItemsFound if self.has("-----BEGIN ENCRYPTED PRIVATE KEY") => {
                CertificateError::EncryptedKey(self.name())
            }
            pem::Error::NoItemsFound if self.has_sections() => CertificateError::NoKey(self.name()),
            _ => CertificateError::NotPem(self.name()),
        })
    }

    /// Its certificates, for whoever trusts them, and until when the last of them is valid.
    ///
    /// # Errors
    /// Where there is none, one that is broken, or where all have expired by `now`.
    pub fn roots(&self, now: Timestamp) -> Result<(RootCertStore, Validity), CertificateError> {
        let certificates = self.certificates()?;
        let last = certificates
            .iter()
            .filter_map(Validity::of)
            .max_by_key(|validity| validity.not_after);
        let last = last.ok_or_else(|| CertificateError::NoCertificate(self.name()))?;
        last.check(now, &self.path)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|_| CertificateError::BadCertificate(self.name()))?;
        }
        Ok((roots, last))
    }

    fn has_sections(&self) -> bool {
        self.has("-----BEGIN ")
    }

    fn has(&self, text: &str) -> bool {
        memchr::memmem::find(&self.content, text.as_bytes()).is_some()
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// The content may be a key.
impl fmt::Debug for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PemFile").field(&self.path).finish()
    }
}

/// A chain of certificates with the key of the first, and until when all of them are valid.
///
/// # Errors
/// Whatever is wrong with either file, or with both together, at `now`.
pub fn key_pair(
    certificate: &PemFile,
    key: &PemFile,
    now: Timestamp,
) -> Result<(CertifiedKey, Validity), CertificateError> {
    let chain = certificate.certificates()?;
    let first_to_end = chain
        .iter()
        .filter_map(Validity::of)
        .min_by_key(|validity| validity.not_after);
    let validity = first_to_end.ok_or_else(|| CertificateError::NoCertificate(certificate.name()))?;
    let pair = CertifiedKey::from_der(chain, key.key()?, &tls_provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::OtherKey {
            certificate: certificate.name(),
            key: key.name(),
        },
        _ => CertificateError::BadKey(key.name()),
    })?;
    if let Some(own) = pair.cert.first().and_then(Validity::of) {
        own.check(now, &certificate.path)?;
    }
    Ok((pair, validity))
}

impl Validity {
    /// That of a certificate; none where it cannot be understood.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let validity = parsed.validity();
        // Some have an end beyond all that a calendar knows, which is as good as none.
        let timestamp = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        Some(Self {
            not_before: timestamp(validity.not_before.timestamp()),
            not_after: timestamp(validity.not_after.timestamp()),
        })
    }

    /// How many whole days are left of it; fewer than none once it is over.
    #[must_use]
    pub fn days_left(self, now: Timestamp) -> i64 {
        const DAY: i64 = 24 * 60 * 60;
        self.not_after.duration_since(now).as_secs().div_euclid(DAY)
    }

    /// What to tell of it while it is valid, if it ends soon.
    #[must_use]
    pub fn warning(self, now: Timestamp) -> Option<String> {
        let left = self.days_left(now);
        (left <= EXPIRY_WARNING_DAYS).then(|| {
            let verb = if self.not_after < now {
                "expired"
            } else {
                "expires soon:"
            };
            format!("{verb} on {}", moment(self.not_after))
        })
    }

    fn check(self, now: Timestamp, path: &Path) -> Result<(), CertificateError> {
        let path = || path.display().to_string();
        if now > self.not_after {
            return Err(CertificateError::Expired {
                path: path(),
                not_after: self.not_after,
            });
        }
        // A clock that is a little behind the issuer's is no reason.
        if self.not_before.duration_since(now) > CLOCK_DIFFERENCE {
            return Err(CertificateError::NotYetValid {
                path: path(),
                not_before: self.not_before,
            });
        }
        Ok(())
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "until {}", self.not_after.strftime("%F"))
    }
}

fn moment(moment: Timestamp) -> String {
    moment.strftime("%F at %R UTC").to_string()
}

#[cfg(test)]
mod tests;
