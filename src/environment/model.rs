use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::EnvironmentId;

/// The resource, in the shape of the native API.
///
/// It serialises to the JSON that the API answers; timestamps are RFC 3339, UTC, at most microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "environment")]
pub struct Environment {
    /// Its id, never used again.
    pub id: EnvironmentId,
    /// When it was archived; none while it can be changed.
    pub archived_at: Option<Timestamp>,
    /// What it is made of.
    pub config: Config,
    /// When it was created.
    pub created_at: Timestamp,
    /// What its owner says about it; the empty string and none are two things.
    pub description: Option<String>,
    /// Pairs of the owner's choice; no value is empty.
    pub metadata: BTreeMap<String, String>,
    /// Its name, for people; not unique.
    pub name: String,
    /// When it last changed; each write makes this later, by a microsecond at least.
    pub updated_at: Timestamp,
    /// Who sees it; left out of the JSON where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

impl Environment {
    /// Whether it was archived, after which it can only be read or deleted.
    #[must_use]
    pub const fn is_archived(&self) -> bool {
        self.archived_at.is_some()
    }
}

/// Who sees an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every account of the organisation.
    Organization,
    /// The owning account alone.
    Account,
}

/// Where the environment runs, and with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Config {
    /// In a container of the service.
    Cloud(CloudConfig),
    /// On machines of the owner.
    SelfHosted,
}

impl Config {
    /// The value of `config.type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Cloud(_) => "cloud",
            Self::SelfHosted => "self_hosted",
        }
    }
}

impl Default for Config {
    /// What a create without `config` gives: cloud, unrestricted, no packages.
    fn default() -> Self {
        Self::Cloud(CloudConfig::default())
    }
}

/// A container of the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudConfig {
    /// What it may reach.
    pub networking: Networking,
    /// What is installed in it.
    pub packages: Packages,
}

/// What a container may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Networking {
    /// Everything.
    #[default]
    Unrestricted,
    /// What is listed.
    Limited(LimitedNetwork),
}

/// What a container with a limited network may reach; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedNetwork {
    /// The MCP servers of the agent, besides the hosts.
    pub allow_mcp_servers: bool,
    /// The public package registries, besides the hosts.
    pub allow_package_managers: bool,
    /// Host names, each perhaps with `*.` before it.
    pub allowed_hosts: Vec<String>,
}

/// The packages to install, a list for each package manager; an entry may name a version in its manager's
/// way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "packages")]
pub struct Packages {
    /// Ubuntu and Debian packages.
    pub apt: Vec<String>,
    /// Rust packages.
    pub cargo: Vec<String>,
    /// Ruby packages.
    pub gem: Vec<String>,
    /// Go packages.
    pub go: Vec<String>,
    /// Node.js packages.
    pub npm: Vec<String>,
    /// Python packages.
    pub pip: Vec<String>,
}

impl Packages {
    /// The package managers that have something to install, in alphabetical order.
    pub fn managers(&self) -> impl Iterator<Item = &'static str> {
        [
            ("apt", &self.apt),
            ("cargo", &self.cargo),
            ("gem", &self.gem),
            ("go", &self.go),
            ("npm", &self.npm),
            ("pip", &self.pip),
        ]
        .into_iter()
        .filter(|(_, packages)| !packages.is_empty())
        .map(|(manager, _)| manager)
    }
}
