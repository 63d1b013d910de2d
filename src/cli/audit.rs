//! `envgate audit`: who did what, as the store has it.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::output::{CommandError, format_table, print};
use crate::config;
use crate::store::{AuditOperation, AuditQuery, AuditRecord, Store};
use crate::text::format_timestamp;

#[derive(Args)]
pub(super) struct Options {
    /// Only what is about this tenant: its name at the time, or its id
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Only what this one did: the prefix of a key, the name of a token such as admin.tokens.ci, or another as
    /// records have it
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this operation
    #[arg(long, value_parser = PossibleValuesParser::new(AuditOperation::ALL.map(AuditOperation::name)))]
    operation: Option<String>,
    /// How many at most, 1 to 1000, the newest first
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Whole records, what changed among it, each a line of JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>, options: Options) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let query = AuditQuery {
        tenant: options.tenant,
        actor: options.actor,
        operation: options.operation,
        limit: options.limit,
        ..AuditQuery::default()
    };
    let store = Store::open_existing(settings.store.url.reveal()).await?;
    let records = store.audit(&query).await;
    store.close().await;
    let records = records?;
    if options.json {
        for record in &records {
            // Nothing in a record can fail to be written as JSON.
            print(&serde_json::to_string(record).unwrap_or_default())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let headings = [
        "AT",
        "ACTOR",
        "FROM",
        "TENANT",
        "OPERATION",
        "ENVIRONMENT",
        "OUTCOME",
    ];
    let rows: Vec<_> = records.into_iter().map(row).collect();
    print(&format_table(headings, &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn row(record: AuditRecord) -> [String; 7] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let tenant = Some(record.tenant.name).filter(|name| !name.is_empty());
    let outcome = match record.error {
        Some(error) => format!("{}: {error}", record.outcome),
        None => record.outcome,
    };
    [
        format_timestamp(record.at),
        or_dash(record.actor),
        or_dash(record.client_address),
        or_dash(tenant),
        record.operation,
        or_dash(record.environment),
        outcome,
    ]
}
