//! Tenants, their keys, and the directory in which a request's key is looked up. Pure.

mod key;
mod tenant;

pub use key::{KeyDigest, KeyId, KeyRecord, KeyText};
pub use tenant::{Tenant, TenantId};
