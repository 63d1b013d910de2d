//! What people and programs write: names, durations, times, JSON pointers and edits, ids, page cursors, secrets. Pure.

#[cfg(test)]
pub(crate) mod arbitrary;
mod cursor;
mod duration;
mod json;
mod name;
mod random;
mod ratio;
mod secret;
mod span;
mod time;

pub use cursor::{CursorError, CursorSealer};
pub use duration::{expect_duration, format_seconds, milliseconds, parse_duration, whole_seconds};
pub use json::{JsonPointer, escape_pointer_token, json_kind, unescape_pointer_token};
pub use name::{join_names, nearest_name};
pub use random::{NoRandomNumbers, random_base58, random_bytes, unique_bits};
pub use ratio::Ratio;
pub use secret::Secret;
pub(crate) use span::Scanner;
pub use span::{Edits, Member, Object, span_of};
pub use time::{clock_ahead, format_timestamp, parse_moment};
