//! `envgate drift`: in what the upstream's replies differ from the contract, as the store has it.

mod patch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::operator;
use super::output::{CommandError, format_table, print, print_error};
use crate::config;
use crate::contract::Operation;
use crate::store::{DriftQuery, FindingState, Store, StoredFinding};
use crate::text::format_timestamp;

/// Something is new.
const NEW: u8 = 1;
/// Nobody can tell.
const UNKNOWN: u8 = 2;

#[derive(Args)]
pub(super) struct Options {
    /// Only of this operation
    #[arg(long, value_parser = PossibleValuesParser::new(Operation::NAMES))]
    operation: Option<String>,
    /// Only what is new, or what is known
    #[arg(long, value_parser = PossibleValuesParser::new(FindingState::ALL.map(FindingState::name)))]
    state: Option<String>,
    /// Whole findings, each a line of JSON
    #[arg(long)]
    json: bool,
    /// Write what would have to be laid over the schemas (contract.schemas), for somebody to review
    #[arg(long, conflicts_with = "json")]
    patch: bool,
    /// The folder that it is written into; left out, standard output
    #[arg(long, value_name = "DIR", requires = "patch")]
    output: Option<PathBuf>,
    /// Mark findings as known: these, or all that are new
    #[arg(long, value_name = "ID", num_args = 0.., conflicts_with_all = ["operation", "state", "json", "patch"])]
    acknowledge: Option<Vec<String>>,
}

/// Exits with 0 (also where patches were written), with 1 where something is new, and with 2 where nobody can tell.
pub(super) fn run(config: Option<&Path>, options: Options) -> ExitCode {
    tell(config, options).unwrap_or_else(|failure| {
        print_error(&failure);
        ExitCode::from(UNKNOWN)
    })
}

#[tokio::main(flavor = "current_thread")]
async fn tell(config: Option<&Path>, options: Options) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let store = Store::open_configured_existing(&settings.store).await?;
    if let Some(ids) = options.acknowledge {
        let store = operator::record(&settings, store);
        let acknowledged = store
            .acknowledge_drift(Some(&ids[..]).filter(|ids| !ids.is_empty()))
            .await;
        store.close().await;
        print(&format!("{} findings are known from now on", acknowledged?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let query = DriftQuery {
        operation: options.operation.as_deref().and_then(Operation::by_name),
        state: options.state.as_deref().and_then(FindingState::by_name),
        ..DriftQuery::default()
    };
    let findings = store.drift(&query).await;
    store.close().await;
    let mut findings = findings?;
    findings.sort_by(|one, other| {
        other
            .first_seen
            .cmp(&one.first_seen)
            .then_with(|| one.id.cmp(&other.id))
    });
    if options.patch {
        let findings = findings.iter().map(|stored| &stored.finding);
        patch::write(findings, &settings.contract, options.output.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let has_new = findings.iter().any(|finding| finding.state == FindingState::New);
    if options.json {
        for finding in &findings {
            print(&finding.to_json().to_string())?;
        }
    } else {
        let headings = [
            "ID",
            "STATE",
            "OPERATION",
            "FINDING",
            "COUNT",
            "FIRST SEEN",
            "LAST SEEN",
        ];
        let rows: Vec<_> = findings.iter().map(row).collect();
        print(&format_table(headings, &rows))?;
    }
    Ok(match has_new {
        true => ExitCode::from(NEW),
        false => ExitCode::SUCCESS,
    })
}

fn row(stored: &StoredFinding) -> [String; 7] {
    [
        stored.id.clone(),
        stored.state.name().to_owned(),
        format!(
            "{} {}",
            stored.finding.operation.name(),
            stored.finding.document.name()
        ),
        stored.finding.in_words(),
        stored.seen.to_string(),
        format_timestamp(stored.first_seen),
        format_timestamp(stored.last_seen),
    ]
}
