use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::environment::{
    CloudConfig, Config, Environment, EnvironmentId, LimitedNetwork, Networking, Packages, Scope,
};
use crate::store::{Store, StoreError};

/// The id of the environment that both documents show.
pub const EXAMPLE_ID: &str = "env_011CZkZ9X2dpNyB7HsEFoRfW";
/// 2026-05-29T10:00:00Z
const CREATED_AT: Timestamp = Timestamp::constant(1_780_048_800, 0);

/// Puts the environment in that the documents of both dialects show, as it is before their update, so that
/// their examples run as they stand. `metadata` is all the metadata it has. One that is there is left as it
/// is.
///
/// # Errors
/// [`StoreError::Unreachable`]
pub async fn seed_example(store: &Store, metadata: BTreeMap<String, String>) -> Result<(), StoreError> {
    let id = EnvironmentId::parse(EXAMPLE_ID).map_err(|error| StoreError::Unreadable(error.to_string()))?;
    match store.insert_environment(&example(id, metadata)).await {
        Err(StoreError::Conflict) => Ok(()),
        outcome => outcome,
    }
}

fn example(id: EnvironmentId, metadata: BTreeMap<String, String>) -> Environment {
    let networking = Networking::Limited(LimitedNetwork {
        allow_mcp_servers: false,
        allow_package_managers: true,
        allowed_hosts: vec!["api.example.com".to_owned()],
    });
    let packages = Packages {
        pip: vec!["pandas".to_owned(), "numpy".to_owned()],
        ..Packages::default()
    };
    Environment {
        id,
        archived_at: None,
        config: Config::Cloud(CloudConfig { networking, packages }),
        created_at: CREATED_AT,
        description: Some("Python environment with data-analysis packages.".to_owned()),
        metadata,
        name: "python-data-analysis".to_owned(),
        updated_at: CREATED_AT,
        scope: Some(Scope::Organization),
    }
}
