//! `envgate upstream`: the embedded environments service alone.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;

use super::output::{CommandError, print};
use super::serve::bind;
use super::signals::Signals;
use crate::config::{self, Log, LogFormat};
use crate::contract;
use crate::embedded;
use crate::store::Store;
use crate::telemetry;

/// The variable that also tells the gateway what to send up, so that one value serves both.
const CREDENTIAL: &str = "ENVGATE_UPSTREAM__CREDENTIAL";

#[derive(Args)]
pub(super) struct Options {
    /// Where to listen; port 0 takes a free one. The key that callers must send as X-Api-Key is read from
    /// ENVGATE_UPSTREAM__CREDENTIAL
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    address: SocketAddr,
    /// Where environments are stored
    #[arg(long, value_name = "URL", default_value = "sqlite:envgate-upstream.db")]
    store: String,
}

#[tokio::main]
pub(super) async fn run(options: Options) -> Result<ExitCode, CommandError> {
    telemetry::start_log(&Log {
        format: LogFormat::Text,
        level: "info".to_owned(),
    })?;
    contract::prove_schemas()?;
    let mut signals = Signals::listen()?;
    let credential = config::credential_from_process(CREDENTIAL)?;
    let store = Store::open(&options.store).await?;
    let listener = bind(options.address)?;
    print(&format!(
        "environments service at http://{}",
        listener.local_addr()?
    ))?;
    let shutdown = async move {
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            std::process::exit(130);
        });
    };
    embedded::serve(listener, store, credential, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
