use std::fmt;

/// The canonical id of an environment: one to 128 characters of `[A-Za-z0-9_-]`.
///
/// Routes, keys, caches and the upstream see this form only.
///
/// ```
/// use envgate::environment::EnvironmentId;
///
/// assert!(EnvironmentId::parse("env_011CZkZ9X2dpNyB7HsEFoRfW").is_ok());
/// assert!(EnvironmentId::parse("../keys").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvironmentId(String);

/// The text is no environment id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an environment id has 1 to 128 characters of A-Z, a-z, 0-9, _ and -")]
pub struct InvalidEnvironmentId;

impl EnvironmentId {
    /// Takes a text that is already decoded.
    ///
    /// # Errors
    /// [`InvalidEnvironmentId`] where the text is empty, too long or has any other character.
    pub fn parse(text: &str) -> Result<Self, InvalidEnvironmentId> {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=128).contains(&text.len()) && text.bytes().all(is_legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEnvironmentId)
        }
    }

    /// The id as it is written in a path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvironmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
