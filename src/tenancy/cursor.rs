//! The page cursor of a list that shows a tenant its own environments only.

use data_encoding::BASE64URL_NOPAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::TenantId;
use crate::environment::EnvironmentId;

/// Where a list goes on: a page of the upstream, and a place within it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The upstream's own cursor of the page; none for its first.
    #[serde(rename = "u")]
    pub upstream: Option<String>,
    /// The position within that page, counted over everybody's environments.
    #[serde(rename = "i")]
    pub index: usize,
    /// The environments to go on with, the next first. Where the first of them is gone the second will do.
    #[serde(rename = "n")]
    pub next: Vec<EnvironmentId>,
    /// The last environment of this upstream page that was shown.
    #[serde(rename = "l")]
    pub last: Option<EnvironmentId>,
    /// The filter of the list: a cursor is good for the list that it was given for, and no other.
    #[serde(rename = "a")]
    pub include_archived: bool,
}

/// For whom, and on what, a cursor is good.
#[derive(Clone, Copy, Debug)]
pub struct CursorScope<'a> {
    /// Who asked for the list.
    pub tenant: &'a TenantId,
    /// The name of the part of the upstream that was listed: credential and workspace.
    pub access: &'a str,
    /// The name of the dialect in which it was answered.
    pub dialect: &'a str,
}

/// Seals cursors with AES-256-GCM, so that nobody reads, changes or makes one, or uses another's.
///
/// Nonces are random. Under one key that is safe for 2³² cursors and more (NIST SP 800-38D §8.3).
pub struct CursorSealer(LessSafeKey);

/// The form of a sealed cursor: this byte, the nonce, what was sealed, all in base 64.
const VERSION: u8 = 1;

impl CursorSealer {
    /// A sealer; those with the same key open each other's cursors.
    ///
    /// # Errors
    /// Never with a key of this length, as far as the cipher promises.
    pub fn new(key: &[u8; 32]) -> Result<Self, Unspecified> {
        UnboundKey::new(&AES_256_GCM, key).map(|key| Self(LessSafeKey::new(key)))
    }

    /// Seals a place; the text needs no escaping in a query.
    ///
    /// # Errors
    /// Where the system has no random numbers to give.
    pub fn seal(&self, place: &Place, scope: CursorScope<'_>) -> Result<String, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce)?;
        let mut sealed = serde_json::to_vec(place).map_err(|_| Unspecified)?;
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound(scope), &mut sealed)?;
        let bytes: Vec<u8> = [VERSION].into_iter().chain(nonce).chain(sealed).collect();
        Ok(BASE64URL_NOPAD.encode(&bytes))
    }

    /// Opens a cursor; none where it was not sealed here for this scope, or did not arrive whole.
    #[must_use]
    pub fn open(&self, text: &str, scope: CursorScope<'_>) -> Option<Place> {
        let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
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
fn bound(scope: CursorScope<'_>) -> Aad<Vec<u8>> {
    let CursorScope {
        tenant,
        access,
        dialect,
    } = scope;
    Aad::from(format!("{VERSION}\0{tenant}\0{access}\0{dialect}").into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealer(byte: u8) -> CursorSealer {
        CursorSealer::new(&[byte; 32]).unwrap()
    }

    fn id(text: &str) -> EnvironmentId {
        EnvironmentId::parse(text).unwrap()
    }

    fn place() -> Place {
        Place {
            upstream: Some("page_2".to_owned()),
            index: 17,
            next: vec![id("env_3"), id("env_5")],
            last: Some(id("env_1")),
            include_archived: true,
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_scope_only() {
        let (one, two) = (TenantId("ten_1".to_owned()), TenantId("ten_2".to_owned()));
        let scope = CursorScope {
            tenant: &one,
            access: "default",
            dialect: "sandbase",
        };
        let text = sealer(1).seal(&place(), scope).unwrap();
        assert_eq!(sealer(1).open(&text, scope), Some(place()), "replicas agree");
        assert_eq!(sealer(2).open(&text, scope), None);
        for other in [
            CursorScope {
                tenant: &two,
                ..scope
            },
            CursorScope {
                access: "other",
                ..scope
            },
            CursorScope {
                dialect: "anthropic",
                ..scope
            },
        ] {
            assert_eq!(sealer(1).open(&text, other), None, "{other:?}");
        }
        assert_ne!(
            text,
            sealer(1).seal(&place(), scope).unwrap(),
            "the same place is never written alike twice"
        );
    }

    proptest! {
        #[test]
        fn a_cursor_that_was_altered_or_made_up_is_refused(at: prop::sample::Index, flip in 1..=255u8, text in "\\PC{0,80}") {
            let tenant = TenantId("ten_1".to_owned());
            let scope = CursorScope { tenant: &tenant, access: "default", dialect: "sandbase" };
            let mut bytes = BASE64URL_NOPAD
                .decode(sealer(1).seal(&place(), scope).unwrap().as_bytes())
                .unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(sealer(1).open(&BASE64URL_NOPAD.encode(&bytes), scope), None);
            prop_assert_eq!(sealer(1).open(&BASE64URL_NOPAD.encode(&bytes[..at]), scope), None);
            prop_assert_eq!(sealer(1).open(&text, scope), None);
        }
    }
}
