//! Two tenants, one upstream credential: neither sees the other's environments, nor the stamp that parts them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod common;

#[path = "ownership/fake.rs"]
mod fake;
#[path = "ownership/lists.rs"]
mod lists;
#[path = "ownership/operations.rs"]
mod operations;
#[path = "ownership/tenant.rs"]
mod tenant;
#[path = "ownership/upstream.rs"]
mod upstream;
