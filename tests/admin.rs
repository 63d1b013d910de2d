//! The admin API: tenants, keys and plans over HTTP, for whoever has the token.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod common;

#[path = "admin/access.rs"]
mod access;
#[path = "admin/api.rs"]
mod api;
#[path = "admin/audit.rs"]
mod audit;
#[path = "admin/keys.rs"]
mod keys;
#[path = "admin/plans.rs"]
mod plans;
#[path = "admin/refusals.rs"]
mod refusals;
#[path = "admin/store.rs"]
mod store;
#[path = "admin/tenants.rs"]
mod tenants;
