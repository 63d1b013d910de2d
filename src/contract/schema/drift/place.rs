use super::hash::{hash_bytes, mix};
use super::sketch::shown;
use crate::text::JsonPointer;

/// A place in a schema, as a chain back to the root: nothing is allocated until somebody asks for its name.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) parent: Option<&'a Self>,
    step: Step<'a>,
    /// The same for the same place.
    pub(super) hash: u64,
    /// Whether what stands here is nobody else's business.
    pub(super) is_private: bool,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Member(&'a str),
    /// Any element of a list or of a map.
    Child,
}

impl<'a> Place<'a> {
    pub(super) const ROOT: Self = Self {
        parent: None,
        step: Step::Root,
        hash: 0,
        is_private: false,
    };

    pub(super) fn member(&'a self, name: &'a str) -> Self {
        self.inside(Step::Member(name), hash_bytes(name.as_bytes()))
    }

    pub(super) fn child(&'a self) -> Self {
        self.inside(Step::Child, 1)
    }

    /// The same place, and whether it is private; once one is, so is all in it.
    pub(super) fn with_privacy(self, is_private: bool) -> Self {
        Self {
            is_private: self.is_private || is_private,
            ..self
        }
    }

    fn inside(&'a self, step: Step<'a>, hash: u64) -> Self {
        Self {
            parent: Some(self),
            step,
            hash: mix(self.hash, hash),
            is_private: self.is_private,
        }
    }

    /// The JSON pointer, with `*` for every element and for every name that is private.
    pub(super) fn pointer(&self) -> String {
        let mut pointer = JsonPointer::default();
        self.write_pointer(&mut pointer);
        pointer.into()
    }

    fn write_pointer(&self, pointer: &mut JsonPointer) {
        let Some(parent) = self.parent else { return };
        parent.write_pointer(pointer);
        match self.step {
            Step::Root => {}
            Step::Member(name) if !parent.is_private => pointer.push_name(&shown(name)),
            Step::Member(_) | Step::Child => pointer.push_name("*"),
        }
    }
}
