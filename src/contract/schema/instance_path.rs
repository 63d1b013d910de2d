use std::fmt::Write as _;

use crate::contract::echo::{quoted, shortened};
use crate::text::JsonPointer;

/// A path in a document, as a chain back to the root: nothing is allocated until somebody asks for its name.
#[derive(Clone, Copy)]
pub(super) struct InstancePath<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
    /// Whether values from here on are nobody else's business.
    pub(super) is_private: bool,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    /// A member whose name is not the schema's.
    OtherMember(&'a str),
    Element(usize),
}

impl<'a> InstancePath<'a> {
    /// The document itself.
    pub(super) const ROOT: Self = Self {
        parent: None,
        step: Step::Root,
        is_private: false,
    };

    /// The member `name` of the object at this path.
    pub(super) fn member(&'a self, name: &'a str) -> Self {
        self.inside(Step::Member(name))
    }

    /// A member of the object at this path whose name the schema does not have.
    pub(super) fn other_member(&'a self, name: &'a str) -> Self {
        self.inside(Step::OtherMember(name))
    }

    /// An element of the list at this path.
    pub(super) fn element(&'a self, index: usize) -> Self {
        self.inside(Step::Element(index))
    }

    /// The same path, and whether its values are private from here on; once they are, they stay so.
    pub(super) fn with_privacy(self, is_private: bool) -> Self {
        Self {
            is_private: self.is_private || is_private,
            ..self
        }
    }

    /// Whether it is the document itself.
    pub(super) const fn is_root(&self) -> bool {
        matches!(self.step, Step::Root)
    }

    fn inside(&'a self, step: Step<'a>) -> Self {
        Self {
            parent: Some(self),
            step,
            is_private: self.is_private,
        }
    }

    /// The JSON pointer (RFC 6901); names that are too long to repeat are cut.
    pub(super) fn pointer(&self) -> String {
        let mut pointer = JsonPointer::default();
        self.write_pointer(&mut pointer);
        pointer.into()
    }

    fn write_pointer(&self, pointer: &mut JsonPointer) {
        if let Some(parent) = self.parent {
            parent.write_pointer(pointer);
        }
        match self.step {
            Step::Root => {}
            Step::Member(name) | Step::OtherMember(name) => pointer.push_name(&shortened(name)),
            Step::Element(index) => pointer.push_index(index),
        }
    }

    /// The same as far as the schema knows it: `*` stands for an element, and for a name that is not the schema's.
    pub(super) fn schema_pointer(&self) -> String {
        let mut pointer = JsonPointer::default();
        self.write_schema_pointer(&mut pointer);
        pointer.into()
    }

    fn write_schema_pointer(&self, pointer: &mut JsonPointer) {
        if let Some(parent) = self.parent {
            parent.write_schema_pointer(pointer);
        }
        match self.step {
            Step::Root => {}
            Step::Member(name) => pointer.push_name(name),
            Step::OtherMember(_) | Step::Element(_) => pointer.push_name("*"),
        }
    }

    /// The path as a person writes it: `config.networking.allowed_hosts[2]`, `metadata["a b"]`, `the body`.
    pub(super) fn in_words(&self) -> String {
        if self.is_root() {
            return "the body".to_owned();
        }
        let mut words = String::with_capacity(64);
        self.write_words(&mut words);
        words
    }

    fn write_words(&self, words: &mut String) {
        if let Some(parent) = self.parent {
            parent.write_words(words);
        }
        match self.step {
            Step::Root => {}
            Step::Member(name) | Step::OtherMember(name) if is_identifier(name) => {
                if !words.is_empty() {
                    words.push('.');
                }
                words.push_str(&shortened(name));
            }
            Step::Member(name) | Step::OtherMember(name) => {
                let name = quoted(&shortened(name)).unwrap_or_else(|| "…".to_owned());
                let _ = write!(words, "[{name}]");
            }
            Step::Element(index) => {
                let _ = write!(words, "[{index}]");
            }
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_for_machines_and_for_people() {
        let config = InstancePath::ROOT.member("config");
        let hosts = config.member("allowed_hosts");
        let second = hosts.element(2);
        assert_eq!(second.pointer(), "/config/allowed_hosts/2");
        assert_eq!(second.in_words(), "config.allowed_hosts[2]");

        let metadata = InstancePath::ROOT.member("metadata");
        let odd = metadata.member("a/b ~\n");
        assert_eq!(odd.pointer(), "/metadata/a~1b ~0\n");
        assert_eq!(odd.in_words(), r#"metadata["a/b ~\n"]"#);

        assert_eq!(InstancePath::ROOT.pointer(), "");
        assert_eq!(InstancePath::ROOT.schema_pointer(), "");
        assert_eq!(InstancePath::ROOT.in_words(), "the body");
    }

    #[test]
    fn what_a_client_chose_is_not_in_the_schemas_pointer() {
        let config = InstancePath::ROOT.member("config");
        let hosts = config.member("allowed_hosts");
        assert_eq!(hosts.element(2).schema_pointer(), "/config/allowed_hosts/*");
        let other = config.other_member("free");
        assert_eq!(other.member("known").schema_pointer(), "/config/*/known");
        assert_eq!(other.member("known").pointer(), "/config/free/known");
    }

    #[test]
    fn a_long_name_is_cut() {
        let name = "n".repeat(1000);
        let path = InstancePath::ROOT.member(&name);
        assert_eq!(path.pointer().chars().count(), 1 + 65);
        assert_eq!(path.in_words().chars().count(), 65);
        let name = "n ".repeat(500);
        assert!(InstancePath::ROOT.member(&name).in_words().chars().count() < 70);
    }
}
