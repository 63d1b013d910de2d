//! Real servers for the tests of the store and for `tests/it`: PostgreSQL and Redis, on loopback, gone with the test.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs
)]

use std::time::Duration;

pub mod postgres;
pub mod redis;

#[allow(
    clippy::disallowed_methods,
    reason = "tests run on threads of their own, which may sleep"
)]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
