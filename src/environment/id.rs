use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::{NoRandomNumbers, random_base58};

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
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentId(String);

/// The text is no environment id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an environment id has 1 to 128 characters of A-Z, a-z, 0-9, _ and -, and is not bridge")]
pub struct InvalidEnvironmentId;

/// Stands in the place of an id in the paths of another product.
const OTHER_PRODUCT: &str = "bridge";

impl EnvironmentId {
    /// Takes a text that is already decoded.
    ///
    /// # Errors
    /// [`InvalidEnvironmentId`] where the text is empty, too long or has any other character, and for
    /// `bridge`, which is another product's path.
    pub fn parse(text: &str) -> Result<Self, InvalidEnvironmentId> {
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=128).contains(&text.len()) && text.bytes().all(is_legal) && text != OTHER_PRODUCT {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidEnvironmentId)
        }
    }

    /// Makes a new id, `env_01` and 22 characters of base 58, from the system's random numbers.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn generate() -> Result<Self, NoRandomNumbers> {
        Ok(Self(format!("env_01{}", random_base58()?)))
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

impl TryFrom<String> for EnvironmentId {
    type Error = InvalidEnvironmentId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<EnvironmentId> for String {
    fn from(id: EnvironmentId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_env_01_and_22_characters_of_base_58() {
        let id = EnvironmentId::generate().unwrap();
        let suffix = id
            .as_str()
            .strip_prefix("env_01")
            .expect("the prefix of every new id");
        assert_eq!(suffix.len(), 22, "{id}");
        assert!(
            bs58::decode(suffix).into_vec().is_ok(),
            "{id} has only characters of base 58"
        );
        assert_eq!(
            EnvironmentId::parse(id.as_str()),
            Ok(id.clone()),
            "a new id is a canonical id"
        );
        assert_ne!(id, EnvironmentId::generate().unwrap());
    }

    #[test]
    fn an_id_has_1_to_128_legal_characters() {
        for text in ["", "env/1", "env 1", "env_é", "bridge", &"a".repeat(129)] {
            assert_eq!(EnvironmentId::parse(text), Err(InvalidEnvironmentId), "{text:?}");
        }
        assert!(EnvironmentId::parse(&"a".repeat(128)).is_ok());
    }
}
