//! `envgate keys`: create, list, rotate, revoke.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::operator;
use super::output::{CommandError, format_table, print};
use crate::config;
use crate::contract::Operation;
use crate::environment::EnvironmentId;
use crate::store::{ListedKey, Store};
use crate::tenancy::{KeyTerms, Restrictions, operation};
use crate::text::{expect_duration, parse_moment};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a key and show it, this once
    Create(Creation),
    /// List keys by their visible prefix
    List {
        /// Only this tenant's
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
    },
    /// Create a key with the label and the restrictions of another, and let the other go on for a while
    Rotate {
        /// The old key: its visible prefix as the list shows it, or the whole key
        key: String,
        /// How long the old key goes on, such as 24h; 0s ends it at once
        #[arg(long, value_name = "DURATION", value_parser = expect_duration)]
        grace: Duration,
        /// When the new key expires; left out, when the old one was to
        #[arg(long, value_name = "WHEN", value_parser = from_now)]
        expires: Option<Timestamp>,
        /// Print the new key and nothing else
        #[arg(long)]
        quiet: bool,
    },
    /// Revoke a key, at once and for good
    Revoke {
        /// The visible prefix as the list shows it, or the whole key
        key: String,
    },
}

#[derive(Args)]
pub(super) struct Creation {
    /// The tenant's name
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// What to call the key in lists
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// When it expires: 30d or 12h from now, 2026-12-31 (from its first moment, UTC), or 2026-12-31T18:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = from_now)]
    expires: Option<Timestamp>,
    /// An operation that it may do: create, list, retrieve, update, delete or archive; can be repeated; left out,
    /// all that the tenant may
    #[arg(long = "operation", value_name = "OPERATION", value_parser = operation)]
    operations: Vec<Operation>,
    /// An environment that it is for; can be repeated; left out, all that are the tenant's. A key of named
    /// environments cannot create
    #[arg(long = "environment", value_name = "ID", value_parser = EnvironmentId::parse)]
    environments: Vec<EnvironmentId>,
    /// Print the key and nothing else
    #[arg(long)]
    quiet: bool,
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>, command: Command) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let url = settings.store.url.reveal();
    let store = Store::open_configured_existing(&settings.store).await?;
    let store = operator::record(&settings, store);
    let said = carry_out(command, &store).await;
    store.close().await;
    print(&said.map_err(|error| error.in_store(url))?)?;
    Ok(ExitCode::SUCCESS)
}

async fn carry_out(command: Command, store: &Store) -> Result<String, CommandError> {
    Ok(match command {
        Command::Create(creation) => create(store, creation).await?,
        Command::List { tenant } => list(store, tenant.as_deref()).await?,
        Command::Rotate {
            key,
            grace,
            expires,
            quiet,
        } => rotate(store, &key, grace, expires, quiet).await?,
        Command::Revoke { key } => {
            let revoked = store.revoke_key(&key).await?;
            format!("revoked key {revoked}")
        }
    })
}

async fn create(store: &Store, creation: Creation) -> Result<String, CommandError> {
    let terms = KeyTerms {
        label: creation.label,
        expires_at: creation.expires,
        restrictions: Restrictions::new(&creation.operations, creation.environments),
    };
    let key = store.create_key(&creation.tenant, &terms).await?;
    if creation.quiet {
        return Ok(key.reveal().to_owned());
    }
    Ok(format!(
        "{}\n\nThis is the key of tenant {}. {}It is not stored and cannot be shown again.",
        key.reveal(),
        creation.tenant,
        expiry_sentence(&terms),
    ))
}

async fn rotate(
    store: &Store,
    key: &str,
    grace: Duration,
    expires: Option<Timestamp>,
    quiet: bool,
) -> Result<String, CommandError> {
    let old_expires_at = Timestamp::now().checked_add(grace).unwrap_or(Timestamp::MAX);
    let rotation = store.rotate_key(key, old_expires_at, expires).await?;
    if quiet {
        return Ok(rotation.issued.text.reveal().to_owned());
    }
    Ok(format!(
        "{}\n\nThis key takes the place of {}, which ends at {:.0}. {}It is not stored and cannot be shown again.",
        rotation.issued.text.reveal(),
        rotation.old,
        rotation.old_expires_at,
        expiry_sentence(&rotation.issued.listed.terms),
    ))
}

fn expiry_sentence(terms: &KeyTerms) -> String {
    let expiry = terms.expires_at;
    expiry.map_or(String::new(), |at| format!("It expires at {at:.0}. "))
}

async fn list(store: &Store, tenant: Option<&str>) -> Result<String, CommandError> {
    let now = Timestamp::now();
    let keys = store.keys(tenant).await?;
    let rows: Vec<_> = keys.into_iter().map(|key| row(key, now)).collect();
    let headings = [
        "KEY",
        "TENANT",
        "LABEL",
        "STATE",
        "EXPIRES",
        "LAST USED",
        "RESTRICTED TO",
        "CREATED",
    ];
    Ok(format_table(headings, &rows))
}

fn row(key: ListedKey, now: Timestamp) -> [String; 8] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let state = match &key.revoked_at {
        Some(at) => format!("revoked {at}"),
        None => key.state(now).name().to_owned(),
    };
    [
        key.id.to_string(),
        key.tenant_name,
        or_dash(key.terms.label),
        state,
        or_dash(key.terms.expires_at.map(|at| format!("{at:.0}"))),
        or_dash(key.last_used_at.map(|at| format!("{at:.0}"))),
        or_dash(key.terms.restrictions.as_ref().map(in_words)),
        key.created_at,
    ]
}

/// The names of operations and environments, with commas.
fn in_words(restrictions: &Restrictions) -> String {
    let operations = restrictions.operations().unwrap_or_default();
    let environments = restrictions.environments().unwrap_or_default();
    let names = operations
        .iter()
        .map(|operation| operation.name())
        .chain(environments.iter().map(EnvironmentId::as_str));
    names.collect::<Vec<_>>().join(",")
}

fn from_now(text: &str) -> Result<Timestamp, String> {
    parse_moment(text, Timestamp::now())
}
