use std::fmt::{self, Display};

/// What is wrong with a schema document. Displays as `environment.json#/$defs/name: what it is`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFault {
    /// The document as a path in `schemas/`, or the file of a folder that is laid over them.
    pub file: String,
    /// Where, as a JSON pointer into what the file holds or makes; empty for all of it.
    pub pointer: String,
    /// What is wrong there.
    pub problem: String,
}

impl Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.pointer.is_empty() { "" } else { "#" };
        let Self {
            file,
            pointer,
            problem,
        } = self;
        write!(f, "{file}{separator}{pointer}: {problem}")
    }
}

impl std::error::Error for SchemaFault {}

/// The fault of all of a file.
pub(super) fn fault_in<E: Display>(file: &str) -> impl FnOnce(E) -> SchemaFault {
    move |problem| SchemaFault {
        file: file.to_owned(),
        pointer: String::new(),
        problem: problem.to_string(),
    }
}
