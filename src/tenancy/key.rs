use std::fmt;

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::{Restrictions, TenantId};
use crate::text::{NoRandomNumbers, Secret, random_bytes};

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
pub struct KeyText {
    text: Secret,
    id: KeyId,
}

impl KeyText {
    /// What every key begins with.
    pub const PREFIX: &'static str = "sk-eg-";

    /// Makes a new key from the system's random numbers.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn generate() -> Result<Self, NoRandomNumbers> {
        let random = Zeroizing::new(random_bytes::<32>()?);
        let secret = Zeroizing::new(bs58::encode(random.as_slice()).into_string());
        let text = Secret::new(format!("{}{}", Self::PREFIX, secret.as_str()));
        let id = KeyId::of(text.reveal().as_bytes()).ok_or(NoRandomNumbers)?;
        Ok(Self { text, id })
    }

    /// The key itself; for the one who asked for it, never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.text.reveal()
    }

    /// The digest under which the key is stored.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.text.reveal().as_bytes())
    }

    /// The name of the key in lists and logs.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// The first 14 characters of a key, `sk-eg-` and 8 more: enough to tell keys apart, too few to guess one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; Self::LENGTH]);

impl KeyId {
    /// How many characters of a key its name shows.
    pub const LENGTH: usize = 14;

    /// What stands in a key's place where the operator acts for a tenant, who has no key.
    pub const OPERATOR: Self = Self(*b"(the operator)");

    /// The name of the key with this text; none where the text is too short to be a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        let id = key.first_chunk::<{ Self::LENGTH }>()?;
        id.is_ascii().then_some(Self(*id))
    }

    /// The name as it was shown; none where it has not 14 characters of ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of(text.as_bytes()).filter(|_| text.len() == Self::LENGTH)
    }

    /// The name as lists and logs show it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII by construction.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.as_str())
    }
}

/// On what terms a key is given. The default is a key without label that never expires and may do all that
/// its tenant may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTerms {
    /// What people call it.
    pub label: Option<String>,
    /// From when on it is no good; none for never.
    pub expires_at: Option<Timestamp>,
    /// What it may not do of what its tenant may.
    pub restrictions: Option<Restrictions>,
}

/// A key as the directory takes it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is recognised by.
    pub digest: KeyDigest,
    /// From when on it is no good; none for never.
    pub expires_at: Option<Timestamp>,
    /// Whether it was revoked.
    pub is_revoked: bool,
    /// What it may not do of what its tenant may.
    pub restrictions: Option<Restrictions>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_first_14_characters() {
        let key = KeyText::generate().unwrap();
        assert_eq!(key.id().as_str(), &key.reveal()[..14]);
        assert_eq!(KeyId::of(key.reveal().as_bytes()), Some(key.id()));
        assert_eq!(KeyId::parse(key.id().as_str()), Some(key.id()));
        assert_eq!(KeyId::parse(key.reveal()), None, "the whole key is not its name");
        for text in ["", "sk-eg-", "sk-eg-1234567é"] {
            assert_eq!(KeyId::of(text.as_bytes()), None, "{text:?}");
        }
    }
}
