//! The stamp: the one pair of an environment's metadata that says whose it is.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::{Edits, Layout, Object, Violation, Violations};
use crate::text::JsonPointer;

/// The metadata key that is reserved for the id of the tenant who owns an environment.
///
/// Nobody but the gateway writes it, and no reply shows it.
///
/// ```
/// use envgate::contract::StampKey;
///
/// let key = StampKey::default();
/// let stamped = key.insert(r#"{"name": "a", "metadata": {"team": "x"}}"#, "ten_1").unwrap();
/// assert_eq!(stamped, r#"{"name": "a", "metadata": {"team": "x","envgate:tenant":"ten_1"}}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampKey(String);

/// The text cannot be the reserved metadata key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 characters, none of them a control character")]
pub struct InvalidStampKey;

impl StampKey {
    /// The longest key, in characters: the upstream takes no longer one.
    pub const MAX_CHARACTERS: usize = 64;

    /// Takes the name of the key.
    ///
    /// # Errors
    /// [`InvalidStampKey`] where it is empty, too long, or has a control character.
    pub fn parse(name: &str) -> Result<Self, InvalidStampKey> {
        let is_legal = (1..=Self::MAX_CHARACTERS).contains(&name.chars().count());
        if is_legal && !name.chars().any(char::is_control) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidStampKey)
        }
    }

    /// The key itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses a request body whose metadata names the key, to set it or to remove it. `document` is the
    /// parsed body, so a name that is written with escapes is found as well; only the top-level `metadata` is
    /// looked at.
    ///
    /// # Errors
    /// [`Violations`] with the one that points at the key.
    pub fn refuse(&self, document: &Value) -> Result<(), Violations> {
        let metadata = document.get("metadata").and_then(Value::as_object);
        if !metadata.is_some_and(|metadata| metadata.contains_key(&self.0)) {
            return Ok(());
        }
        Err(Violations {
            told: vec![Violation {
                pointer: JsonPointer::default()
                    .with_name("metadata")
                    .with_name(&self.0)
                    .into(),
                schema_pointer: "/metadata/*".to_owned(),
                keyword: "propertyNames",
                message: format!("metadata: the name {} is reserved by the gateway", json(&self.0)),
                hint: Some("leave it out".to_owned()),
            }],
            total: 1,
        })
    }

    /// Writes the stamp into the body of a create: into the `metadata` that is there, or one that is added.
    /// All else stays as it is, byte for byte. None where the body, or its `metadata`, is no object.
    #[must_use]
    pub fn insert(&self, body: &str, value: &str) -> Option<String> {
        let layout = Layout::of(body)?;
        let object = layout.object(body)?;
        let pair = format!("{}:{}", json(&self.0), json(value));
        let mut edits = Edits::default();
        match object.member("metadata") {
            Some(metadata) => edits.change(metadata.as_object()?, |_| false, pair),
            None => edits.change(object, |_| false, format!(r#""metadata":{{{pair}}}"#)),
        }
        edits.apply(body)
    }

    /// The stamp of an environment in a reply; none where it has none.
    #[must_use]
    pub fn read<'t>(&self, environment: Object<'t>) -> Option<Cow<'t, str>> {
        let metadata = environment.member("metadata")?.as_object()?;
        metadata.member(&self.0)?.as_string()
    }

    /// Takes the stamp out of an environment in a reply, and gives back what it said.
    pub(super) fn hide<'t>(&self, environment: Object<'t>, edits: &mut Edits) -> Option<Cow<'t, str>> {
        let metadata = environment.member("metadata")?.as_object()?;
        let said = metadata.member(&self.0)?.as_string();
        edits.change(metadata, |member| member.is_named(&self.0), "");
        said
    }
}

impl Default for StampKey {
    fn default() -> Self {
        Self("envgate:tenant".to_owned())
    }
}

impl fmt::Display for StampKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn json(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::contract::parse_document;
    use crate::text::arbitrary::{spaced, spaces};

    fn refused(body: &str) -> Result<(), Violations> {
        StampKey::default().refuse(&parse_document(body.as_bytes()).unwrap())
    }

    #[test]
    fn the_stamp_goes_into_metadata_and_nothing_else_moves() {
        for (body, expected) in [
            (
                r#" { "name" : "a" } "#,
                r#" { "name" : "a","metadata":{"envgate:tenant":"ten_1"} } "#,
            ),
            (
                r#"{"metadata":{},"name":"a"}"#,
                r#"{"metadata":{"envgate:tenant":"ten_1"},"name":"a"}"#,
            ),
            (
                "{\"metadata\":{ \n},\"name\":\"a\"}",
                "{\"metadata\":{\"envgate:tenant\":\"ten_1\" \n},\"name\":\"a\"}",
            ),
            (
                r#"{"m\u0065tadata":{"\u0061":"\/"},"name":1e400}"#,
                r#"{"m\u0065tadata":{"\u0061":"\/","envgate:tenant":"ten_1"},"name":1e400}"#,
            ),
            (
                r#"{"config":{"metadata":{}}}"#,
                r#"{"config":{"metadata":{}},"metadata":{"envgate:tenant":"ten_1"}}"#,
            ),
            ("{}", r#"{"metadata":{"envgate:tenant":"ten_1"}}"#),
        ] {
            let stamped = StampKey::default().insert(body, "ten_1");
            assert_eq!(stamped.as_deref(), Some(expected), "{body}");
        }
        assert_eq!(StampKey::default().insert(r#"{"metadata":[]}"#, "ten_1"), None);
        assert_eq!(StampKey::default().insert("[]", "ten_1"), None);
    }

    proptest! {
        #[test]
        fn what_was_inserted_is_read_and_hidden_again(
            name in "\\PC{1,64}", value in "\\PC{0,40}",
            others in prop::collection::btree_map("[a-z]{0,4}", "\\PC{0,9}", 0..4), spaces in spaces()
        ) {
            prop_assume!(!others.contains_key(&name));
            let key = StampKey::parse(&name).unwrap();
            let body = spaced(&json!({"id": "e", "metadata": others}), &mut spaces.into_iter());
            let stamped = key.insert(&body, &value).unwrap();
            let layout = Layout::of(&stamped).unwrap();
            let object = layout.object(&stamped).unwrap();
            let read = key.read(object);
            prop_assert_eq!(read.as_deref(), Some(value.as_str()));
            let mut edits = Edits::default();
            let hidden = key.hide(object, &mut edits);
            prop_assert_eq!(hidden.as_deref(), Some(value.as_str()));
            prop_assert_eq!(edits.apply(&stamped).unwrap(), body);
        }
    }

    #[test]
    fn a_body_may_not_name_the_key_however_it_is_escaped() {
        for body in [
            r#"{"metadata":{"envgate:tenant":"ten_1"}}"#,
            r#"{"metadata":{"\u0065nvgate:tenant":null}}"#,
            r#"{"m\u0065tadata":{"a":"b","envgate\u003Atenant":""}}"#,
        ] {
            let violations = refused(body).unwrap_err();
            assert_eq!(violations.told[0].pointer, "/metadata/envgate:tenant", "{body}");
            assert_eq!(
                violations.message(),
                r#"metadata: the name "envgate:tenant" is reserved by the gateway; leave it out"#
            );
        }
    }

    #[test]
    fn only_the_names_of_top_level_metadata_are_reserved() {
        for body in [
            "{}",
            r#"{"metadata":{"Envgate:tenant":"a","tenant":"envgate:tenant"}}"#,
            r#"{"config":{"metadata":{"envgate:tenant":"a"}}}"#,
            r#"{"envgate:tenant":"a"}"#,
        ] {
            assert_eq!(refused(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn the_pointer_is_escaped() {
        let key = StampKey::parse("a/b~c").unwrap();
        let violations = key.refuse(&json!({"metadata": {"a/b~c": "x"}})).unwrap_err();
        assert_eq!(violations.told[0].pointer, "/metadata/a~1b~0c");
    }

    #[test]
    fn a_key_has_1_to_64_characters() {
        assert!(StampKey::parse(&"é".repeat(64)).is_ok());
        for name in ["", "a\nb", &"a".repeat(65)] {
            assert_eq!(StampKey::parse(name), Err(InvalidStampKey), "{name:?}");
        }
    }
}
