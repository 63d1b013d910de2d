//! `envgate upstream`: the embedded environments service alone.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;

use super::output::{CommandError, print};
use super::signals::{STOPPED_BY_SIGNAL, Signals};
use crate::config::{self, Log, LogFormat};
use crate::contract;
use crate::embedded;
use crate::server;
use crate::store::Store;
use crate::telemetry::{self, Metrics};
use crate::text::Ratio;

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
    let mut signals = Signals::listen()?;
    let settings = Log {
        format: LogFormat::Text,
        level: "info".to_owned(),
        success_ratio: Ratio::ALL,
        slow_request: None,
    };
    let log = telemetry::start_log(&settings, Metrics::new()?.log_lines_lost)?;
    contract::prove_schemas()?;
    let credential = config::credential_from_process(CREDENTIAL)?;
    let store = Store::open(&options.store).await?;
    let listener = server::bind(options.address)?;
    print(&format!(
        "environments service at http://{}",
        listener.local_addr()?
    ))?;
    let shutdown = async move {
        let signal = signals.next_stop().await;
        tokio::spawn(async move {
            signals.next_stop().await;
            log.flush();
            std::process::exit(STOPPED_BY_SIGNAL.into());
        });
        tracing::info!(signal, "stopping; a second signal stops at once");
    };
    embedded::serve(listener, store, credential, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}
