use std::fmt;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A value that never shows itself: not in `Debug`, so in no log, error or panic, and not in memory that was given
/// back. It has no `Display`.
///
/// ```
/// use envgate::text::Secret;
///
/// let secret = Secret::new("hunter2".to_owned());
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// assert!(secret.is(b"hunter2") && !secret.is(b"hunter"));
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it is this. How long the answer takes tells neither how much of it is right nor how long the secret
    /// is: digests are compared, and those whole.
    #[must_use]
    pub fn is(&self, other: &[u8]) -> bool {
        let digest = |bytes| digest(&SHA256, bytes);
        digest(self.0.as_bytes())
            .as_ref()
            .ct_eq(digest(other).as_ref())
            .into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
