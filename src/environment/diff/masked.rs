//! A document as a difference shows it, written while it is read: it is kept nowhere in between.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{MASK, without_user_info};

/// Writes a document: no value of its metadata, nobody's password in a URL, and the metadata key `hidden` not at all.
/// None where it is no JSON object.
pub(super) fn masked(document: &[u8], hidden: Option<&str>) -> Option<String> {
    let mut text = Vec::with_capacity(document.len());
    let mut json = serde_json::Deserializer::from_slice(document);
    let part = Part {
        text: &mut text,
        place: Place::Document,
        hidden,
    };
    part.deserialize(&mut json).ok()?;
    json.end().ok()?;
    String::from_utf8(text).ok()
}

/// What is to be written next.
struct Part<'w> {
    text: &'w mut Vec<u8>,
    place: Place,
    hidden: Option<&'w str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// All of it, which has to be an object.
    Document,
    /// The metadata of it.
    Metadata,
    /// Anything else.
    Within,
}

impl Part<'_> {
    fn write<E: Error>(self, value: impl Serialize) -> Result<(), E> {
        match self.place {
            Place::Document => Err(E::custom("no object")),
            Place::Metadata => serde_json::to_writer(self.text, MASK).map_err(E::custom),
            Place::Within => serde_json::to_writer(self.text, &value).map_err(E::custom),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.place == Place::Document {
            return Err(E::custom("no object"));
        }
        self.text.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.write(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.write(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.write(without_user_info(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        if self.place != Place::Within {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            return self.write(());
        }
        let Self { text, place, hidden } = self;
        text.push(b'[');
        let mut is_first = true;
        loop {
            let length = text.len();
            if !is_first {
                text.push(b',');
            }
            is_first = false;
            let element = Part {
                text: &mut *text,
                place,
                hidden,
            };
            if elements.next_element_seed(element)?.is_none() {
                text.truncate(length);
                break;
            }
        }
        text.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { text, place, hidden } = self;
        text.push(b'{');
        let mut is_first = true;
        loop {
            let (before, mut is_metadata) = (text.len(), false);
            if !is_first {
                text.push(b',');
            }
            let name = Name {
                text: &mut *text,
                is_metadata: &mut is_metadata,
                hidden: hidden.filter(|_| place == Place::Metadata),
            };
            match members.next_key_seed(name)? {
                None => {
                    text.truncate(before);
                    break;
                }
                Some(IsHidden(true)) => {
                    text.truncate(before);
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                Some(IsHidden(false)) => {}
            }
            is_first = false;
            text.push(b':');
            if place == Place::Metadata {
                members.next_value::<IgnoredAny>()?;
                serde_json::to_writer(&mut *text, MASK).map_err(A::Error::custom)?;
                continue;
            }
            members.next_value_seed(Part {
                text: &mut *text,
                place: match place == Place::Document && is_metadata {
                    true => Place::Metadata,
                    false => Place::Within,
                },
                hidden,
            })?;
        }
        text.push(b'}');
        Ok(())
    }
}

/// The name of a member.
struct Name<'w> {
    text: &'w mut Vec<u8>,
    is_metadata: &'w mut bool,
    /// The one that is not written.
    hidden: Option<&'w str>,
}

struct IsHidden(bool);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = IsHidden;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<IsHidden, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = IsHidden;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<IsHidden, E> {
        *self.is_metadata = name == "metadata";
        serde_json::to_writer(self.text, name).map_err(E::custom)?;
        Ok(IsHidden(self.hidden == Some(name)))
    }
}
