use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{NoRandomNumbers, random_bytes};

/// Seals the position of a page as a text with AES-256-GCM, so that nobody reads, changes or makes one, or
/// uses it for another list.
///
/// Nonces are random. Under one key that is safe for 2³² cursors and more (NIST SP 800-38D §8.3).
///
/// ```
/// use envgate::text::CursorSealer;
///
/// let sealer = CursorSealer::new(&[7; 32]).unwrap();
/// let cursor = sealer.seal(&("env_1", 17), &["keys", "acme"]).unwrap();
/// assert_eq!(sealer.open::<(String, u32)>(&cursor, &["keys", "acme"]), Some(("env_1".to_owned(), 17)));
/// assert_eq!(sealer.open::<(String, u32)>(&cursor, &["keys", "zebra"]), None);
/// ```
#[derive(Debug)]
pub struct CursorSealer(LessSafeKey);

/// The form of a sealed cursor: this byte, the nonce, what was sealed, all in base 64.
const VERSION: u8 = 1;

/// Why no cursor can be made.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// The cipher does not take the key, or not that much text.
    #[error("the cipher refused to seal a cursor")]
    Cipher,
    /// There is no nonce.
    #[error(transparent)]
    NoRandomNumbers(#[from] NoRandomNumbers),
    /// The position cannot be written as JSON.
    #[error("a position cannot be written: {0}")]
    Position(#[from] serde_json::Error),
}

impl CursorSealer {
    /// A sealer; those with the same key open each other's cursors.
    ///
    /// # Errors
    /// Never with a key of this length, as far as the cipher promises.
    pub fn new(key: &[u8; 32]) -> Result<Self, CursorError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| CursorError::Cipher)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// A sealer with a key that everybody may know. It guards against mistakes, such as the cursor of another
    /// list, where a position is no secret.
    ///
    /// # Errors
    /// As [`CursorSealer::new`].
    pub fn without_secret() -> Result<Self, CursorError> {
        Self::new(&[0; 32])
    }

    /// Seals a position for one list, which `scope` names; no part of it may have a NUL. The text needs no
    /// escaping in a query.
    ///
    /// # Errors
    /// [`CursorError`]
    pub fn seal(&self, position: &impl Serialize, scope: &[&str]) -> Result<String, CursorError> {
        let nonce = random_bytes::<NONCE_LEN>()?;
        let mut sealed = serde_json::to_vec(position)?;
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound(scope), &mut sealed)
            .map_err(|_| CursorError::Cipher)?;
        let bytes: Vec<u8> = [VERSION].into_iter().chain(nonce).chain(sealed).collect();
        Ok(BASE64URL_NOPAD.encode(&bytes))
    }

    /// Opens a cursor; none where it was not sealed here for this list, or did not arrive whole.
    #[must_use]
    pub fn open<T: DeserializeOwned>(&self, cursor: &str, scope: &[&str]) -> Option<T> {
        let mut bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let (version, rest) = bytes.split_first_mut()?;
        let (nonce, sealed) = rest.split_first_chunk_mut::<NONCE_LEN>()?;
        if *version != VERSION {
            return None;
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, bound(scope), sealed).ok()?;
        serde_json::from_slice(opened).ok()
    }
}

/// No part has a NUL in it, so no two scopes are written alike.
fn bound(scope: &[&str]) -> Aad<Vec<u8>> {
    let mut text = VERSION.to_string();
    for part in scope {
        text.push('\0');
        text.push_str(part);
    }
    Aad::from(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer(byte: u8) -> CursorSealer {
        CursorSealer::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_cursor_is_good_under_its_key_and_for_its_list_only() {
        let cursor = sealer(1).seal(&17, &["ten_1", "default"]).unwrap();
        assert_eq!(
            sealer(1).open(&cursor, &["ten_1", "default"]),
            Some(17),
            "replicas agree"
        );
        assert_eq!(sealer(2).open::<i32>(&cursor, &["ten_1", "default"]), None);
        for other in [
            &["ten_2", "default"][..],
            &["ten_1"],
            &["ten_1", "default", ""],
            &["ten_1default"],
        ] {
            assert_eq!(sealer(1).open::<i32>(&cursor, other), None, "{other:?}");
        }
        let again = sealer(1).seal(&17, &["ten_1", "default"]).unwrap();
        assert_ne!(cursor, again, "the same position is never written alike twice");
    }

    proptest! {
        #[test]
        fn a_cursor_that_was_altered_or_made_up_is_refused(
            at: prop::sample::Index,
            flip in 1..=255u8,
            text in "\\PC{0,80}",
        ) {
            let mut bytes = BASE64URL_NOPAD.decode(sealer(1).seal(&17, &["a"]).unwrap().as_bytes()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(sealer(1).open::<i32>(&BASE64URL_NOPAD.encode(&bytes), &["a"]), None);
            prop_assert_eq!(sealer(1).open::<i32>(&BASE64URL_NOPAD.encode(&bytes[..at]), &["a"]), None);
            prop_assert_eq!(sealer(1).open::<i32>(&text, &["a"]), None);
        }
    }
}
