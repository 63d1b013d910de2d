//! `envgate tenants`: create, list, suspend, resume.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::output::{CommandError, say, table};
use crate::config;
use crate::store::Store;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a tenant
    Create {
        /// The name, 1 to 64 characters, unique
        name: String,
    },
    /// List all tenants
    List,
    /// Turn a tenant's keys away until it is resumed
    Suspend {
        /// The tenant's name
        name: String,
    },
    /// Let a suspended tenant's keys in again
    Resume {
        /// The tenant's name
        name: String,
    },
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>, command: Command) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let store = Store::open(settings.store.url.reveal()).await?;
    let said = match command {
        Command::Create { name } => {
            let tenant = store.create_tenant(&name).await?;
            format!("created tenant {} ({})", tenant.name, tenant.id)
        }
        Command::List => list(&store).await?,
        Command::Suspend { name } => {
            store.set_tenant_suspended(&name, true).await?;
            format!("suspended tenant {name}")
        }
        Command::Resume { name } => {
            store.set_tenant_suspended(&name, false).await?;
            format!("resumed tenant {name}")
        }
    };
    say(&said)?;
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store) -> Result<String, CommandError> {
    let state = |is_suspended: bool| if is_suspended { "suspended" } else { "active" }.to_owned();
    let rows: Vec<_> = store
        .tenants()
        .await?
        .into_iter()
        .map(|tenant| {
            [
                tenant.name,
                state(tenant.is_suspended),
                tenant.created_at,
                tenant.id.to_string(),
            ]
        })
        .collect();
    Ok(table(["NAME", "STATE", "CREATED", "ID"], &rows))
}
