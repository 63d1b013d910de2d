//! What people and programs write: names, durations, times, JSON pointers and edits, ids, page cursors, secrets. Pure.

#[cfg(test)]
pub(crate) mod arbitrary;
mod cursor;
mod duration;
mod edits;
mod json;
mod layout;
mod name;
mod random;
mod ratio;
mod scanner;
mod secret;
mod time;

pub use cursor::{CursorError, CursorSealer};
pub use duration::{expect_duration, format_seconds, milliseconds, parse_duration, whole_seconds};
pub use edits::Edits;
pub use json::{JsonPointer, escape_pointer_token, json_kind, unescape_pointer_token};
pub(crate) use layout::{Kinds, NodeKind};
pub use layout::{Layout, Node, Object};
pub use name::{join_names, nearest_name};
pub use random::{NoRandomNumbers, random_base58, random_bytes, unique_bits};
pub use ratio::Ratio;
pub(crate) use scanner::Scanner;
pub use secret::Secret;
pub use time::{clock_ahead, format_timestamp, parse_moment};
