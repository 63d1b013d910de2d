use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;

use http::HeaderValue;

use crate::contract::{BetaRules, Dialect, Operation, Schemas, Strictness};
use crate::environment::{HostPattern, PackageManager, PackageName, Scope};

/// The name of the plan that is there even when none is written.
pub const DEFAULT_PLAN: &str = "default";

/// `[plans.NAME]`: what tenants of a plan may do, and how they are served.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What they may do.
    pub operations: Vec<Operation>,
    /// The dialect that they speak.
    pub dialect: &'static Dialect,
    /// What becomes of unknown fields and of odd host names.
    pub strictness: Strictness,
    /// What their bodies are measured by.
    pub schemas: Arc<Schemas>,
    /// The value of `anthropic-workspace-id`; none where the upstream decides.
    pub workspace_id: Option<HeaderValue>,
    /// What betas their requests have.
    pub betas: BetaRules,
    /// Whether they may delete with `force=true`.
    pub may_force_delete: bool,
    /// Whether their answers tell how long each step took.
    pub tells_timing: bool,
    /// The name of a credential in [`Settings::credentials`](super::Settings::credentials); none for the
    /// upstream's own.
    pub credential: Option<String>,
    /// What the certificate of their clients has to say; none where none is asked for.
    pub client_subject: Option<String>,
    /// Requests of one tenant that need the upstream, in any 60 seconds; none for no limit.
    pub requests_per_minute: Option<u32>,
    /// Requests of one tenant before the upstream at once; none for no limit.
    pub concurrent_requests: Option<u32>,
    /// A tenant's share where tenants wait for each other.
    pub weight: NonZeroU16,
    /// What their environments may be; none where nothing is asked.
    pub policy: Option<Policy>,
}

/// `[plans.NAME.policy]`: what an environment may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether networking must be limited.
    pub needs_limited_network: bool,
    /// Whether `allowed_hosts` may list names on the public internet alone.
    pub needs_public_hosts: bool,
    /// What `allowed_hosts` may list; none for everything.
    pub allowed_hosts: Option<Vec<HostPattern>>,
    /// Whether `allow_package_managers` may be true.
    pub allows_package_managers: bool,
    /// Whether `allow_mcp_servers` may be true.
    pub allows_mcp_servers: bool,
    /// The values of `config.type` that may be; none for all that the other rules can judge.
    pub config_types: Option<Vec<&'static str>>,
    /// The scopes that may be; none for every one.
    pub scopes: Option<Vec<Scope>>,
    /// The rules of package lists; a list without one may hold anything.
    pub packages: BTreeMap<PackageManager, PackageRule>,
}

/// `[plans.NAME.policy.packages.MANAGER]`: what a package list may hold. Under any rule an entry must be a
/// name and perhaps a version in the manager's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageRule {
    /// Which versions.
    pub install: Install,
    /// The packages that may be listed; none for every one.
    pub allow: Option<BTreeSet<PackageName>>,
    /// The packages that may not be listed, even where they are allowed.
    pub deny: BTreeSet<PackageName>,
}

/// Which versions of packages a list may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// All.
    Any,
    /// Those that are named exactly.
    Pinned,
    /// None: the list must be empty.
    Off,
}
