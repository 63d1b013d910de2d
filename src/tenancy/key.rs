use std::fmt;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::TenantId;

/// The SHA-256 of a key: all that is ever stored of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of what a client sent.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, text).as_ref());
        Self(bytes)
    }

    /// The digest as it was stored; none where it is not 32 bytes long.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

/// A key in plain text: `sk-eg-` and 256 random bits in base 58. It is shown once, when it is made.
pub struct KeyText(String);

impl KeyText {
    /// What every key begins with.
    pub const PREFIX: &'static str = "sk-eg-";

    /// Makes a new key from the system's random numbers.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn generate() -> Result<Self, ring::error::Unspecified> {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret)?;
        Ok(Self(format!(
            "{}{}",
            Self::PREFIX,
            bs58::encode(secret).into_string()
        )))
    }

    /// The key itself; for the one who asked for it, never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The digest under which the key is stored.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.0.as_bytes())
    }

    /// The name of the key in lists and logs.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(self.0.chars().take(KeyId::LENGTH).collect())
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// The first 14 characters of a key, `sk-eg-` and 8 more: enough to tell keys apart, too few to guess one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(pub String);

impl KeyId {
    /// How many characters of a key its name shows.
    pub const LENGTH: usize = 14;
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its visible prefix.
    pub id: KeyId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is recognised by.
    pub digest: KeyDigest,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it was revoked, RFC 3339; none while it is good.
    pub revoked_at: Option<String>,
}
