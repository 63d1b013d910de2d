use std::path::PathBuf;

/// `[listen.tls]` or `[admin.tls]`: TLS of an address that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Its certificates, at least one; the first is for clients that ask for no name, or for one that none has.
    pub certificates: Vec<KeyPairFiles>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The roots of client certificates; none where no client is asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether a client needs one, where they are asked.
    pub needs_client_certificate: bool,
}

/// A certificate with those between it and its root, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairFiles {
    /// The file of the certificates.
    pub certificate: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}
