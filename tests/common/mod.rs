//! What the tests share: the built binary on free ports, a client that sees every byte, and an upstream that
//! records what it is sent and can misbehave.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

pub mod client;
pub mod envgate;
pub mod postgres;
pub mod redis;
pub mod upstream;

pub const EXAMPLE: &str = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW";
