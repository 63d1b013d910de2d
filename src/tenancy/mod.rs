//! Tenants, their plans and keys, and the directory in which a request's key is looked up. Pure.

mod adoption;
mod caller;
mod client_certificate;
mod credential;
mod directory;
mod key;
mod page_position;
mod plan;
mod policy;
mod restrictions;
mod stamp;
mod tenant;
mod traffic;

pub use adoption::{Adoption, AdoptionRefusal};
pub use caller::Caller;
pub use client_certificate::ClientCertificate;
pub use credential::{Credential, bearer_token, credential};
pub use directory::{Directory, KeyChanges};
pub use key::{KeyDigest, KeyId, KeyRecord, KeyTerms, KeyText};
pub use page_position::PagePosition;
pub use plan::Plan;
pub use policy::{Policy, UpdateRejection, read_stored};
pub use restrictions::{Restrictions, operation};
pub use stamp::{SharedCredentials, StampRequired, TenantRule};
pub use tenant::{Tenant, TenantId};
pub use traffic::{RateTime, RateWindow, STATUS_CLASSES, Tally, TenantTraffic};
