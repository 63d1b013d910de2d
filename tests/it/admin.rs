//! The admin API: tenants, keys and plans over HTTP, for whoever has the token.

mod access;
pub(crate) mod api;
mod audit;
mod keys;
mod log;
mod plans;
mod refusals;
mod store;
mod tenants;
mod tokens;
