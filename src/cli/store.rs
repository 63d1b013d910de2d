//! `envgate store`: check, migrate, backup, restore.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::doctor::finding::Grade;
use super::doctor::store::look;
use super::output::{CommandError, print};
use crate::config::{self, Secret};
use crate::store::{Depth, Store, StoreError, display_name};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Look at the store: reach, version, rights, integrity, size; nothing is changed; exit 0 or 1
    Check,
    /// Make the tables of the store or bring them up to date, as store.migration_url where that is set
    Migrate,
    /// Write a copy of the store, as it is at one moment, into a new file; a gateway may go on meanwhile. SQLite only
    Backup {
        /// The file to make
        #[arg(value_name = "FILE")]
        backup: PathBuf,
    },
    /// Put the store back to what a backup has. Refused while a gateway has it open. SQLite only
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        backup: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>, command: Command) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let url = settings.store.url.reveal();
    match command {
        Command::Check => return check(&settings.store).await,
        Command::Migrate => {
            let url = settings.store.migration_url.as_ref().map_or(url, Secret::reveal);
            let (before, after) = Store::migrate(url).await?;
            let name = display_name(url);
            print(&match before {
                Some(before) if before == after => format!("{name} has version {after} already"),
                Some(before) => format!("brought {name} from version {before} to {after}"),
                None => format!("made the tables of {name}, version {after}"),
            })?;
        }
        Command::Backup { backup } => {
            // As it is: a copy from before an upgrade has to be one that the older envgate knows.
            let Some((store, _)) = Store::open_to_look(url).await? else {
                return Err(StoreError::Missing(display_name(url)).into());
            };
            let outcome = store.back_up(&backup).await;
            store.close().await;
            outcome?;
            print(&format!(
                "backed up {} to {}",
                display_name(url),
                backup.display()
            ))?;
        }
        Command::Restore { backup } => {
            Store::restore(url, &backup).await?;
            print(&format!(
                "restored {} from {}",
                display_name(url),
                backup.display()
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A warning that somebody could work with is no failure.
async fn check(settings: &config::Store) -> Result<ExitCode, CommandError> {
    let findings = look(settings, Depth::Thorough).await.list;
    for finding in &findings {
        print(&finding.to_string())?;
    }
    Ok(
        match findings.iter().any(|finding| finding.grade == Grade::Fault) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        },
    )
}
