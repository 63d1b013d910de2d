//! `envgate store`: backup, restore.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::output::{CommandError, print};
use crate::config;
use crate::store::{Store, display_name};

#[derive(Subcommand)]
pub(super) enum Command {
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
        Command::Backup { backup } => {
            let store = Store::open_existing(url).await?;
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
