//! `envgate adopt`: environments from before envgate become a tenant's.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::admin_client::{AdminClient, AdminError};
use super::output::{CommandError, format_table, print, print_progress};
use crate::admin::MOST_ADOPTED_AT_ONCE;
use crate::config;
use crate::environment::EnvironmentId;

/// How often the gateway is asked how far it is.
const PERIOD: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct Options {
    /// The name of the tenant whose they become
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// Also take environments that are another tenant's, or were that of one who was deleted
    #[arg(long)]
    force: bool,
    /// Where the gateway's admin API is, such as http://127.0.0.1:9090; left out, at admin.address. Its token
    /// is read from the settings, or from ENVGATE_ADMIN__TOKEN
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// The environments
    #[arg(value_name = "ID", required = true, value_parser = EnvironmentId::parse)]
    environments: Vec<EnvironmentId>,
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>, options: Options) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let admin = AdminClient::new(&settings.admin, options.admin.as_deref())?;
    let tenant = utf8_percent_encode(&options.tenant, NON_ALPHANUMERIC);
    let path = format!("/api/v1/tenants/{tenant}/environments");
    let mut rows = Vec::new();
    let mut failure = None;
    for ids in options.environments.chunks(MOST_ADOPTED_AT_ONCE) {
        let document = json!({ "environments": ids, "force": options.force });
        let mut job = Value::Null;
        if let Err(error) = run_job(&admin, &path, &document, &mut job).await {
            failure = Some(error);
        }
        let outcomes = job.get("data").and_then(Value::as_array);
        rows.extend(outcomes.into_iter().flatten().map(read_outcome));
        if failure.is_some() {
            break;
        }
    }
    // What was done is printed even where the rest failed.
    if !rows.is_empty() {
        let cells: Vec<_> = rows.iter().map(|row| row.cells.clone()).collect();
        print(&format_table(["ENVIRONMENT", "OUTCOME"], &cells))?;
    }
    match failure {
        Some(error) => Err(error.into()),
        None if rows.iter().all(|row| row.is_good) => Ok(ExitCode::SUCCESS),
        None => Ok(ExitCode::FAILURE),
    }
}

/// Asks for an adoption and waits for its end. What is known of it stands in `job` even where that is not
/// reached.
async fn run_job(
    admin: &AdminClient,
    path: &str,
    document: &Value,
    job: &mut Value,
) -> Result<(), AdminError> {
    *job = admin.post(path, document).await?;
    let mut printed = None;
    while job.get("status").and_then(Value::as_str) == Some("running") {
        let [done, total] =
            ["done", "total"].map(|name| job.get(name).and_then(Value::as_u64).unwrap_or_default());
        if printed.replace(done) != Some(done) {
            print_progress(&format!("{done} of {total} environments are done"));
        }
        sleep(PERIOD).await;
        let id = job.get("id").and_then(Value::as_str).unwrap_or_default();
        *job = admin.get(&format!("/api/v1/adoptions/{id}")).await?;
    }
    Ok(())
}

/// What became of one environment.
struct Row {
    cells: [String; 2],
    is_good: bool,
}

fn read_outcome(outcome: &Value) -> Row {
    let field = |name: &str| outcome.get(name).and_then(Value::as_str).unwrap_or_default();
    let (is_good, text) = match field("outcome") {
        "adopted" => (true, "adopted".to_owned()),
        "already_own" => (true, "already its own".to_owned()),
        _ => (false, format!("refused: {}", field("detail"))),
    };
    Row {
        cells: [field("id").to_owned(), text],
        is_good,
    }
}
