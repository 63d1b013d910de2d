//! The embedded environments service, asked through a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "embedded/client.rs"]
mod client;
#[path = "embedded/lists.rs"]
mod lists;
#[path = "embedded/operations.rs"]
mod operations;
#[path = "embedded/refusals.rs"]
mod refusals;
#[path = "embedded/updates.rs"]
mod updates;
