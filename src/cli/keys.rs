//! `envgate keys`: create, list, revoke.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use super::output::{CommandError, say, table};
use crate::config;
use crate::store::{ListedKey, Store};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a key and show it, this once
    Create {
        /// The tenant's name
        #[arg(long, value_name = "NAME")]
        tenant: String,
        /// Print the key and nothing else
        #[arg(long)]
        quiet: bool,
    },
    /// List keys by their visible prefix
    List {
        /// Only this tenant's
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// Revoke a key, at once and for good
    Revoke {
        /// The visible prefix as the list shows it, or the whole key
        key: String,
    },
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>, command: Command) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let store = Store::open(settings.store.url.reveal()).await?;
    let said = match command {
        Command::Create { tenant, quiet } => {
            let key = store.create_key(&tenant).await?;
            if quiet {
                key.reveal().to_owned()
            } else {
                format!(
                    "{}\n\nThis is the key of tenant {tenant}. It is not stored and cannot be shown again.",
                    key.reveal()
                )
            }
        }
        Command::List { tenant } => list(&store, tenant.as_deref()).await?,
        Command::Revoke { key } => {
            let revoked = store.revoke_key(&key).await?;
            format!("revoked key {revoked}")
        }
    };
    say(&said)?;
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, tenant: Option<&str>) -> Result<String, CommandError> {
    let rows: Vec<_> = store
        .keys(tenant)
        .await?
        .into_iter()
        .map(|ListedKey { tenant_name, key }| {
            let state = key
                .revoked_at
                .map_or("active".to_owned(), |at| format!("revoked {at}"));
            [key.id.to_string(), tenant_name, key.created_at, state]
        })
        .collect();
    Ok(table(["KEY", "TENANT", "CREATED", "STATE"], &rows))
}
