//! What must hold for any bytes at all: each target takes some, and panics where it does not. `fuzz/` hands them to
//! libFuzzer, `tests/it` runs them with the seeds and with random bytes.
//!
//! Bytes that begin below 0x80 are taken as they are. Random ones are seldom JSON, so others spell a text with the
//! words that matter, see [`spelling`].
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs
)]

mod cursor;
mod document;
mod framing;
mod head;
mod header;
mod merge;
mod reply;
mod settings;
pub mod spelling;
mod stamp;

/// A target: its name, which its seeds have too, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("cursor", cursor::check),
    ("document", document::check),
    ("framing", framing::check),
    ("head", head::check),
    ("header", header::check),
    ("merge", merge::check),
    ("reply", reply::check),
    ("settings", settings::check),
    ("stamp", stamp::check),
];

/// Runs the target of this name.
pub fn check(name: &str, bytes: &[u8]) {
    let (_, check) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target");
    check(bytes);
}
