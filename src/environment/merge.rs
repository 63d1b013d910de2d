use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    CloudConfig, CloudParams, Config, ConfigParams, CreateParams, Environment, EnvironmentId, LimitedNetwork,
    LimitedNetworkParams, Networking, NetworkingParams, Packages, PackagesParams, UpdateParams,
};

/// Why a valid document cannot become an environment, or change this one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The environment was archived, which is for ever.
    #[error("the environment is archived; it can be read and deleted, but not changed any more")]
    Archived,
    /// The update names another `config.type` than the environment has.
    #[error(
        "config.type is {stored} and cannot change after creation; send {stored}, or create another \
         environment for {sent}"
    )]
    ConfigTypeChange {
        /// What the environment has.
        stored: &'static str,
        /// What the update names.
        sent: &'static str,
    },
    /// The result would list packages that its own network keeps away.
    #[error(
        "config.packages would list packages for {managers} while config.networking is limited and keeps the \
         package registries away; set config.networking.allow_package_managers to true, or empty the lists"
    )]
    PackagesOutOfReach {
        /// The package managers that have something to install, separated by commas.
        managers: String,
    },
}

impl MergeError {
    /// The value of `error.details.error_code`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Archived => "environment_archived",
            Self::ConfigTypeChange { .. } => "invalid_config_type_change",
            Self::PackagesOutOfReach { .. } => "packages_out_of_reach",
        }
    }
}

impl Environment {
    /// The environment that a create gives.
    ///
    /// # Errors
    /// [`MergeError::PackagesOutOfReach`] where the config lists packages that its network keeps away.
    pub fn create(params: CreateParams, id: EnvironmentId, now: Timestamp) -> Result<Self, MergeError> {
        let created_at = in_microseconds(now);
        Self {
            id,
            archived_at: None,
            config: params.config.as_ref().map(Config::created).unwrap_or_default(),
            created_at,
            description: params.description,
            metadata: params
                .metadata
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
            name: params.name,
            updated_at: created_at,
            scope: params.scope,
        }
        .with_packages_in_reach()
    }

    /// The environment after an update. What was not sent stays, at any depth of the config; `updated_at` moves
    /// even where nothing else does.
    ///
    /// # Errors
    /// In this order: [`MergeError::Archived`], [`MergeError::ConfigTypeChange`], and
    /// [`MergeError::PackagesOutOfReach`] where the result would list packages that its network keeps away.
    ///
    /// ```
    /// use envgate::environment::{Environment, EnvironmentId};
    /// use jiff::Timestamp;
    /// use serde_json::{from_value, json};
    ///
    /// let id = EnvironmentId::generate().unwrap();
    /// let create = from_value(json!({"name": "python", "metadata": {"team": "a"}})).unwrap();
    /// let stored = Environment::create(create, id, Timestamp::UNIX_EPOCH).unwrap();
    ///
    /// let update = from_value(json!({"metadata": {"tier": "1"}})).unwrap();
    /// let merged = stored.merge(&update, Timestamp::now()).unwrap();
    /// assert_eq!(merged.metadata.len(), 2, "keys that were not named survive");
    /// ```
    pub fn merge(&self, params: &UpdateParams, now: Timestamp) -> Result<Self, MergeError> {
        if self.is_archived() {
            return Err(MergeError::Archived);
        }
        let config = match &params.config {
            Some(sent) => self.config.merge(sent)?,
            None => self.config.clone(),
        };
        Self {
            config,
            description: params
                .description
                .clone()
                .unwrap_or_else(|| self.description.clone()),
            metadata: merge_metadata(&self.metadata, &params.metadata),
            name: params.name.clone().unwrap_or_else(|| self.name.clone()),
            updated_at: self.next_update(now),
            scope: params.scope.or(self.scope),
            ..self.clone()
        }
        .with_packages_in_reach()
    }

    /// The environment after it was archived; an archived one stays as it is.
    #[must_use]
    pub fn archive(&self, now: Timestamp) -> Self {
        if self.is_archived() {
            return self.clone();
        }
        let archived_at = self.next_update(now);
        Self {
            archived_at: Some(archived_at),
            updated_at: archived_at,
            ..self.clone()
        }
    }

    /// The time of a write at `now`: later than the last one, even where the clock did not move.
    fn next_update(&self, now: Timestamp) -> Timestamp {
        let microsecond = SignedDuration::from_micros(1);
        let earliest = self.updated_at.checked_add(microsecond).unwrap_or(Timestamp::MAX);
        in_microseconds(now).max(earliest)
    }

    fn with_packages_in_reach(self) -> Result<Self, MergeError> {
        let Config::Cloud(CloudConfig {
            networking: Networking::Limited(network),
            packages,
        }) = &self.config
        else {
            return Ok(self);
        };
        let managers: Vec<_> = packages.managers().collect();
        if network.allow_package_managers || managers.is_empty() {
            return Ok(self);
        }
        Err(MergeError::PackagesOutOfReach {
            managers: managers.join(", "),
        })
    }
}

impl Config {
    fn created(sent: &ConfigParams) -> Self {
        match sent {
            ConfigParams::Cloud(sent) => Self::Cloud(CloudConfig::default().merge(sent)),
            ConfigParams::SelfHosted {} => Self::SelfHosted,
        }
    }

    fn merge(&self, sent: &ConfigParams) -> Result<Self, MergeError> {
        match (self, sent) {
            (Self::Cloud(stored), ConfigParams::Cloud(sent)) => Ok(Self::Cloud(stored.merge(sent))),
            (Self::SelfHosted, ConfigParams::SelfHosted {}) => Ok(Self::SelfHosted),
            (stored, sent) => Err(MergeError::ConfigTypeChange {
                stored: stored.type_name(),
                sent: sent.type_name(),
            }),
        }
    }
}

impl CloudConfig {
    fn merge(&self, sent: &CloudParams) -> Self {
        Self {
            networking: match &sent.networking {
                Some(sent) => self.networking.merge(sent),
                None => self.networking.clone(),
            },
            packages: match &sent.packages {
                Some(sent) => self.packages.merge(sent),
                None => self.packages.clone(),
            },
        }
    }
}

impl Networking {
    fn merge(&self, sent: &NetworkingParams) -> Self {
        match (self, sent) {
            (_, NetworkingParams::Unrestricted {}) => Self::Unrestricted,
            (Self::Limited(stored), NetworkingParams::Limited(sent)) => Self::Limited(stored.merge(sent)),
            (Self::Unrestricted, NetworkingParams::Limited(sent)) => {
                Self::Limited(LimitedNetwork::default().merge(sent))
            }
        }
    }
}

impl LimitedNetwork {
    fn merge(&self, sent: &LimitedNetworkParams) -> Self {
        Self {
            allow_mcp_servers: sent.allow_mcp_servers.unwrap_or(self.allow_mcp_servers),
            allow_package_managers: sent.allow_package_managers.unwrap_or(self.allow_package_managers),
            allowed_hosts: sent.allowed_hosts.as_ref().unwrap_or(&self.allowed_hosts).clone(),
        }
    }
}

impl Packages {
    fn merge(&self, sent: &PackagesParams) -> Self {
        Self {
            apt: sent.apt.as_ref().unwrap_or(&self.apt).clone(),
            cargo: sent.cargo.as_ref().unwrap_or(&self.cargo).clone(),
            gem: sent.gem.as_ref().unwrap_or(&self.gem).clone(),
            go: sent.go.as_ref().unwrap_or(&self.go).clone(),
            npm: sent.npm.as_ref().unwrap_or(&self.npm).clone(),
            pip: sent.pip.as_ref().unwrap_or(&self.pip).clone(),
        }
    }
}

/// A value that is null or empty takes its key away; keys that were not named stay.
fn merge_metadata(
    stored: &BTreeMap<String, String>,
    sent: &BTreeMap<String, Option<String>>,
) -> BTreeMap<String, String> {
    let kept = stored.iter().filter(|(key, _)| !sent.contains_key(*key));
    let written = sent
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref().filter(|value| !value.is_empty())?)));
    kept.chain(written)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Timestamps have microseconds; what is finer is cut off.
fn in_microseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod properties;
