use ring::digest::{SHA256, digest};

use crate::environment::EnvironmentId;

/// A place in the list of environments, newest first: after the one that has this time of creation and this
/// id, whether it still exists or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The time of creation in microseconds since 1970.
    pub(super) created_at_micros: i64,
    /// The id, which orders what was created in one microsecond.
    pub(super) id: EnvironmentId,
}

const TIME_BYTES: usize = 8;
const CHECK_BYTES: usize = 4;

impl Cursor {
    /// The text that a client sends back: base 58 of the time, the id, and a checksum that tells a text that
    /// was cut or made up. It guards against mistakes only; there is nothing secret about a place in a list.
    pub(super) fn encode(&self) -> String {
        let mut bytes = self.created_at_micros.to_be_bytes().to_vec();
        bytes.extend_from_slice(self.id.as_str().as_bytes());
        let check = checksum(&bytes);
        bytes.extend_from_slice(&check);
        bs58::encode(bytes).into_string()
    }

    /// The place that a text names; none where it was not made by [`Cursor::encode`].
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes = bs58::decode(text).into_vec().ok()?;
        let (place, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        if checksum(place) != *check {
            return None;
        }
        let (time, id) = place.split_first_chunk::<TIME_BYTES>()?;
        Some(Self {
            created_at_micros: i64::from_be_bytes(*time),
            id: EnvironmentId::parse(str::from_utf8(id).ok()?).ok()?,
        })
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    for (to, from) in check.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    check
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(created_at_micros: i64, id in "[A-Za-z0-9_-]{1,128}") {
            let cursor = Cursor { created_at_micros, id: EnvironmentId::parse(&id).unwrap() };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn a_text_that_was_made_up_is_no_cursor(text in "\\PC{0,80}") {
            prop_assert_eq!(Cursor::decode(&text), None);
        }
    }

    #[test]
    fn a_cursor_that_was_cut_or_altered_is_refused() {
        let id = EnvironmentId::parse("env_011CZkZ9X2dpNyB7HsEFoRfW").unwrap();
        let text = Cursor {
            created_at_micros: 1,
            id,
        }
        .encode();
        assert_eq!(Cursor::decode(&text[1..]), None);
        assert_eq!(Cursor::decode(&text[..text.len() - 1]), None);
        let altered = text.replace(&text[4..5], if &text[4..5] == "a" { "b" } else { "a" });
        assert_eq!(Cursor::decode(&altered), None);
    }
}
