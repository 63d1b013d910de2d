//! Settings as the operator writes them: read as a tree with places, so that every fault is told at once.
//!
//! ```text
//! text ─ tree ─┐
//!              ├─ overlay ─ load (values, secrets, url) ─ Settings
//! environment ─┘                                      └─ or Faults
//! ```

mod access;
mod budget;
mod catalogue;
mod faults;
mod load;
mod load_budgets;
mod load_plans;
mod lookup;
mod overlay;
mod plan;
mod secrets;
mod settings;
mod source;
mod tree;
mod url;
mod values;

pub use access::Access;
pub use budget::{Budget, DEFAULT_BUDGET};
pub use catalogue::{SETTINGS, SettingDoc};
pub use faults::{Fault, Faults, Place, Problem};
pub use load::load;
pub use plan::{DEFAULT_PLAN, Install, PackageRule, Plan, Policy};
pub use settings::{
    Admin, Audit, Cache, Circuit, Contract, Credential, Listen, Log, LogFormat, Ownership, Quota, Secret,
    Server, Settings, Store, Upstream, UpstreamService, UpstreamUrl,
};
pub use source::{Source, credential_from_process, from_process};
pub use url::UrlFault;
