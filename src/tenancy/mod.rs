//! Tenants, their keys, and the directory in which a request's key is looked up. Pure.

mod credential;
mod directory;
mod key;
mod tenant;

pub use credential::credential;
pub use directory::{Caller, Directory};
pub use key::{KeyDigest, KeyId, KeyRecord, KeyText};
pub use tenant::{Tenant, TenantId};
