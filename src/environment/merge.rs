use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    CloudConfig, CloudParams, Config, ConfigParams, CreateParams, Environment, EnvironmentId, LimitedNetwork,
    LimitedNetworkParams, Networking, NetworkingParams, NullMeaning, Packages, PackagesParams, Scope, Sent,
    UpdateParams,
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
    /// All values of [`MergeError::code`].
    pub const CODES: [&'static str; 3] = [
        "environment_archived",
        "invalid_config_type_change",
        "packages_out_of_reach",
    ];

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
            config: Config::new(params.config.as_ref()),
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

    /// The environment after an update. What was not sent stays, at any depth of the config; `updated_at`
    /// moves even where nothing else does.
    ///
    /// # Errors
    /// Those of [`Environment::check_update`], then [`MergeError::PackagesOutOfReach`] where the result would
    /// list packages that its network keeps away.
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
        self.check_update(params)?;
        Self {
            config: self.config.merge(&params.config, NullMeaning::Omitted),
            description: params
                .description
                .clone()
                .unwrap_or_else(|| self.description.clone()),
            metadata: merge_metadata(&self.metadata, &params.metadata),
            name: params.name.clone().unwrap_or_else(|| self.name.clone()),
            updated_at: self.next_update(now),
            scope: self.merge_scope(params.scope, NullMeaning::Omitted),
            ..self.clone()
        }
        .with_packages_in_reach()
    }

    /// Whether the environment can be updated at all, and in this way.
    ///
    /// # Errors
    /// In this order: [`MergeError::Archived`], [`MergeError::ConfigTypeChange`].
    pub const fn check_update(&self, params: &UpdateParams) -> Result<(), MergeError> {
        if self.is_archived() {
            return Err(MergeError::Archived);
        }
        match (&self.config, &params.config) {
            (Config::Cloud(_), Sent::Value(sent @ ConfigParams::SelfHosted {}))
            | (Config::SelfHosted, Sent::Value(sent @ ConfigParams::Cloud(_))) => {
                Err(MergeError::ConfigTypeChange {
                    stored: self.config.type_name(),
                    sent: sent.type_name(),
                })
            }
            _ => Ok(()),
        }
    }

    /// The scope after an update.
    #[must_use]
    pub const fn merge_scope(&self, sent: Sent<Scope>, null: NullMeaning) -> Option<Scope> {
        match (sent, null) {
            (Sent::Value(scope), _) => Some(scope),
            (Sent::Null, NullMeaning::Reset) => None,
            (Sent::Null | Sent::Omitted, _) => self.scope,
        }
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
    /// What a create gives.
    #[must_use]
    pub fn new(sent: Option<&ConfigParams>) -> Self {
        match sent {
            None => Self::default(),
            // Both meanings of a null are the same where nothing is stored.
            Some(ConfigParams::Cloud(sent)) => {
                Self::Cloud(CloudConfig::default().merge(sent, NullMeaning::Reset))
            }
            Some(ConfigParams::SelfHosted {}) => Self::SelfHosted,
        }
    }

    /// What an update gives, of whatever type.
    #[must_use]
    pub fn merge(&self, sent: &Sent<ConfigParams>, null: NullMeaning) -> Self {
        match (self, sent, null) {
            (_, Sent::Null, NullMeaning::Reset) => Self::default(),
            (_, Sent::Null | Sent::Omitted, _) => self.clone(),
            (Self::Cloud(stored), Sent::Value(ConfigParams::Cloud(sent)), _) => {
                Self::Cloud(stored.merge(sent, null))
            }
            (_, Sent::Value(sent), _) => Self::new(Some(sent)),
        }
    }
}

impl CloudConfig {
    fn merge(&self, sent: &CloudParams, null: NullMeaning) -> Self {
        Self {
            networking: match (&sent.networking, null) {
                (Sent::Value(sent), _) => self.networking.merge(sent, null),
                (Sent::Null, NullMeaning::Reset) => Networking::default(),
                (Sent::Null | Sent::Omitted, _) => self.networking.clone(),
            },
            packages: match (&sent.packages, null) {
                (Sent::Value(sent), _) => self.packages.merge(sent, null),
                (Sent::Null, NullMeaning::Reset) => Packages::default(),
                (Sent::Null | Sent::Omitted, _) => self.packages.clone(),
            },
        }
    }
}

impl Networking {
    fn merge(&self, sent: &NetworkingParams, null: NullMeaning) -> Self {
        match (self, sent) {
            (_, NetworkingParams::Unrestricted {}) => Self::Unrestricted,
            (Self::Limited(stored), NetworkingParams::Limited(sent)) => {
                Self::Limited(stored.merge(sent, null))
            }
            (Self::Unrestricted, NetworkingParams::Limited(sent)) => {
                Self::Limited(LimitedNetwork::default().merge(sent, null))
            }
        }
    }
}

impl LimitedNetwork {
    fn merge(&self, sent: &LimitedNetworkParams, null: NullMeaning) -> Self {
        let flag = |sent: &Sent<bool>, stored| *sent.or(&stored, &false, null);
        Self {
            allow_mcp_servers: flag(&sent.allow_mcp_servers, self.allow_mcp_servers),
            allow_package_managers: flag(&sent.allow_package_managers, self.allow_package_managers),
            allowed_hosts: sent
                .allowed_hosts
                .or(&self.allowed_hosts, &Vec::new(), null)
                .clone(),
        }
    }
}

impl Packages {
    fn merge(&self, sent: &PackagesParams, null: NullMeaning) -> Self {
        let list = |sent: &Sent<Vec<String>>, stored| sent.or(stored, &Vec::new(), null).clone();
        Self {
            apt: list(&sent.apt, &self.apt),
            cargo: list(&sent.cargo, &self.cargo),
            gem: list(&sent.gem, &self.gem),
            go: list(&sent.go, &self.go),
            npm: list(&sent.npm, &self.npm),
            pip: list(&sent.pip, &self.pip),
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
