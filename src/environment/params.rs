use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::Scope;

/// What a create asks for. The document has passed its schema before it becomes this.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateParams {
    /// The name.
    pub name: String,
    /// The description; null and left out are the same.
    pub description: Option<String>,
    /// The config; null and left out give the default.
    pub config: Option<ConfigParams>,
    /// The metadata; an empty value is dropped.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The scope.
    pub scope: Option<Scope>,
}

/// What an update asks for. The document has passed its schema before it becomes this.
///
/// A field that is `None` keeps what is stored, whether it was left out or null. Only `description` and the
/// values of `metadata` tell null from left out.
///
/// ```
/// use envgate::environment::UpdateParams;
/// use serde_json::{from_value, json};
///
/// let params: UpdateParams = from_value(json!({"description": null, "name": null})).unwrap();
/// assert_eq!(params.description, Some(None), "null takes the description away");
/// assert_eq!(params.name, None, "null keeps the name");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateParams {
    /// The new name.
    pub name: Option<String>,
    /// The new description; `Some(None)` takes it away.
    #[serde(default, deserialize_with = "present")]
    pub description: Option<Option<String>>,
    /// The changes of the config.
    pub config: Option<ConfigParams>,
    /// The changes of the metadata; a value that is none or empty takes its key away.
    #[serde(default)]
    pub metadata: BTreeMap<String, Option<String>>,
    /// The new scope.
    pub scope: Option<Scope>,
}

/// A config as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ConfigParams {
    /// In a container of the service.
    Cloud(CloudParams),
    /// On machines of the owner.
    SelfHosted {},
}

impl ConfigParams {
    /// The value of `config.type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Cloud(_) => "cloud",
            Self::SelfHosted {} => "self_hosted",
        }
    }
}

/// A cloud config as it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudParams {
    /// The changes of the network.
    pub networking: Option<NetworkingParams>,
    /// The changes of the packages.
    pub packages: Option<PackagesParams>,
}

/// A network as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum NetworkingParams {
    /// Everything may be reached.
    Unrestricted {},
    /// What is listed may be reached.
    Limited(LimitedNetworkParams),
}

/// A limited network as it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitedNetworkParams {
    /// Whether the MCP servers of the agent may be reached.
    pub allow_mcp_servers: Option<bool>,
    /// Whether the public package registries may be reached.
    pub allow_package_managers: Option<bool>,
    /// All hosts that may be reached.
    pub allowed_hosts: Option<Vec<String>>,
}

/// Packages as they are sent; each list that is there replaces the stored one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagesParams {
    /// Says again what it is; may be left out.
    #[serde(rename = "type")]
    pub kind: Option<PackagesType>,
    /// Ubuntu and Debian packages.
    pub apt: Option<Vec<String>>,
    /// Rust packages.
    pub cargo: Option<Vec<String>>,
    /// Ruby packages.
    pub gem: Option<Vec<String>>,
    /// Go packages.
    pub go: Option<Vec<String>>,
    /// Node.js packages.
    pub npm: Option<Vec<String>>,
    /// Python packages.
    pub pip: Option<Vec<String>>,
}

/// The one value of `config.packages.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackagesType {
    /// `packages`
    Packages,
}

/// Wraps what was sent once more, so that a null is told from a field that was left out.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
