//! `envgate tenants`: create, list, set-plan, suspend, resume, delete.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;

use super::operator;
use super::output::{CommandError, format_table, print, print_warning};
use crate::config::{self, Settings};
use crate::store::Store;
use crate::tenancy::{StampRequired, Tenant};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a tenant
    Create {
        /// The name, 1 to 64 characters, unique
        name: String,
        /// The plan of the settings that it belongs to
        #[arg(long, value_name = "PLAN", default_value = Tenant::DEFAULT_PLAN)]
        plan: String,
    },
    /// List all tenants
    List,
    /// Move a tenant to another plan
    SetPlan {
        /// The tenant's name
        name: String,
        /// The plan of the settings
        plan: String,
    },
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
    /// Delete a tenant and all its keys, at once and for good; its environments stay upstream
    Delete {
        /// The tenant's name
        name: String,
    },
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>, command: Command) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let url = settings.store.url.reveal();
    let store = match command {
        Command::Create { .. } => Store::open_configured(&settings.store, Arc::default()).await?,
        _ => Store::open_configured_existing(&settings.store).await?,
    };
    let store = operator::record(&settings, store);
    let said = carry_out(command, &settings, &store).await;
    store.close().await;
    print(&said.map_err(|error| error.in_store(url))?)?;
    Ok(ExitCode::SUCCESS)
}

async fn carry_out(command: Command, settings: &Settings, store: &Store) -> Result<String, CommandError> {
    Ok(match command {
        Command::Create { name, plan } => {
            warn_of_unknown(settings, &plan);
            let rule = StampRequired::rule(settings, &name, &plan);
            let tenant = store.create_tenant_under(rule.as_deref(), &name, &plan).await?;
            format!(
                "created tenant {} ({}) on plan {}",
                tenant.name, tenant.id, tenant.plan
            )
        }
        Command::List => list(store).await?,
        Command::SetPlan { name, plan } => {
            warn_of_unknown(settings, &plan);
            let rule = StampRequired::rule(settings, &name, &plan);
            store
                .change_tenant(rule.as_deref(), &name, Some(&plan), None)
                .await?;
            format!("tenant {name} is on plan {plan}")
        }
        Command::Suspend { name } => {
            store.set_tenant_suspended(&name, true).await?;
            format!("suspended tenant {name}")
        }
        Command::Resume { name } => {
            store.set_tenant_suspended(&name, false).await?;
            format!("resumed tenant {name}")
        }
        Command::Delete { name } => {
            let id = store.delete_tenant(&name).await?;
            format!("deleted tenant {name} ({id}) and its keys")
        }
    })
}

/// Warns of a plan that these settings do not have: others may, so it is no fault yet.
fn warn_of_unknown(settings: &Settings, plan: &str) {
    if !settings.plans.contains_key(plan) {
        print_warning(&format!(
            "the plan {plan:?} is not configured; keys of tenants on it are answered 403 until it is"
        ));
    }
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
                tenant.plan,
                state(tenant.is_suspended),
                tenant.created_at,
                tenant.id.to_string(),
            ]
        })
        .collect();
    Ok(format_table(["NAME", "PLAN", "STATE", "CREATED", "ID"], &rows))
}
