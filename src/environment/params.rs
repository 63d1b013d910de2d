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

/// A field as it was sent.
///
/// ```
/// use envgate::environment::{Sent, UpdateParams};
/// use serde_json::{from_value, json};
///
/// let params: UpdateParams = from_value(json!({"scope": null})).unwrap();
/// assert_eq!((params.scope, params.config), (Sent::Null, Sent::Omitted));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent<T> {
    /// It was left out.
    #[default]
    Omitted,
    /// It was null.
    Null,
    /// It had a value.
    Value(T),
}

/// What a null means where the service does not say. Updates go by the first; a policy has to hold under
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullMeaning {
    /// The same as a field that was left out: what is stored stays.
    Omitted,
    /// What a create would give stands there afterwards.
    Reset,
}

impl<T> Sent<T> {
    /// The value that the field has afterwards, where a value that was sent replaces the `stored` one.
    pub fn or<'a>(&'a self, stored: &'a T, initial: &'a T, null: NullMeaning) -> &'a T {
        match (self, null) {
            (Self::Value(sent), _) => sent,
            (Self::Null, NullMeaning::Reset) => initial,
            (Self::Null | Self::Omitted, _) => stored,
        }
    }
}

impl<T> From<Option<T>> for Sent<T> {
    fn from(sent: Option<T>) -> Self {
        sent.map_or(Self::Omitted, Self::Value)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Sent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|sent| sent.map_or(Self::Null, Self::Value))
    }
}

/// What an update asks for. The document has passed its schema before it becomes this.
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
    #[serde(default)]
    pub config: Sent<ConfigParams>,
    /// The changes of the metadata; a value that is none or empty takes its key away.
    #[serde(default)]
    pub metadata: BTreeMap<String, Option<String>>,
    /// The new scope.
    #[serde(default)]
    pub scope: Sent<Scope>,
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
    #[serde(default)]
    pub networking: Sent<NetworkingParams>,
    /// The changes of the packages.
    #[serde(default)]
    pub packages: Sent<PackagesParams>,
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
    #[serde(default)]
    pub allow_mcp_servers: Sent<bool>,
    /// Whether the public package registries may be reached.
    #[serde(default)]
    pub allow_package_managers: Sent<bool>,
    /// All hosts that may be reached.
    #[serde(default)]
    pub allowed_hosts: Sent<Vec<String>>,
}

/// Packages as they are sent; each list that is there replaces the stored one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackagesParams {
    /// Says again what it is; may be left out.
    #[serde(rename = "type")]
    pub kind: Option<PackagesType>,
    /// Ubuntu and Debian packages.
    #[serde(default)]
    pub apt: Sent<Vec<String>>,
    /// Rust packages.
    #[serde(default)]
    pub cargo: Sent<Vec<String>>,
    /// Ruby packages.
    #[serde(default)]
    pub gem: Sent<Vec<String>>,
    /// Go packages.
    #[serde(default)]
    pub go: Sent<Vec<String>>,
    /// Node.js packages.
    #[serde(default)]
    pub npm: Sent<Vec<String>>,
    /// Python packages.
    #[serde(default)]
    pub pip: Sent<Vec<String>>,
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
