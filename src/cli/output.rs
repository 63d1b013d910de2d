//! What commands print for the person at the terminal, and what they fail with.

use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use super::admin_client::AdminError;
use super::serve::handover::error::HandoverError;
use crate::config::{CertificateError, ConfigErrors};
use crate::contract::SchemaFault;
use crate::quota::RedisBudgetError;
use crate::server::InheritedListenerError;
use crate::store::{self, StoreError};
use crate::telemetry::LogError;
use crate::tenancy::StampRequired;
use crate::upstream::SetUpError;

/// Why a command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("{0}")]
    Settings(#[from] ConfigErrors),
    #[error(transparent)]
    Schemas(#[from] SchemaFault),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{error}; looked in {store}")]
    NotInStore {
        #[source]
        error: StoreError,
        store: String,
    },
    #[error(transparent)]
    Stamp(#[from] StampRequired),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("quota.redis: {0}")]
    Redis(#[from] RedisBudgetError),
    #[error("{0}")]
    Upstream(String),
    #[error("{0}")]
    File(String),
    #[error(transparent)]
    InheritedListener(#[from] InheritedListenerError),
    #[error("server.handover_directory: {0}")]
    Handover(#[from] HandoverError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("{0}; envgate top --once prints a table and ends")]
    Terminal(&'static str),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How long a reader of standard output or standard error may take to make room.
const READER_TIMEOUT: Duration = Duration::from_secs(1);

impl CommandError {
    /// Where a name was not found, the store that it was looked for in: it may not be the one that was meant.
    pub(super) fn in_store(self, url: &str) -> Self {
        match self {
            Self::Store(error @ (StoreError::NoSuchTenant(_) | StoreError::NoSuchKey)) => Self::NotInStore {
                error,
                store: store::display_name(url),
            },
            other => other,
        }
    }
}

/// Prints a line on standard output, where a reader that has gone away is no reason to fail.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Prints why a command failed, on standard error.
pub(super) fn print_error(failure: &CommandError) {
    write_error(format!("envgate: {failure}\n"));
}

/// Prints on standard error what a command found odd but did all the same.
pub(super) fn print_warning(text: &str) {
    write_error(format!("envgate: warning: {text}\n"));
}

/// Prints on standard error how far something is that takes long.
pub(super) fn print_progress(text: &str) {
    write_error(format!("{text}\n"));
}

/// As [`print`], for a process that goes on: where nobody makes room, it does without.
pub(super) fn print_if_read(text: &str) -> io::Result<()> {
    let text = text.to_owned();
    within_timeout(move || print(&text)).unwrap_or(Ok(()))
}

/// Where not even standard error can be written to, the exit status has to do.
fn write_error(text: String) {
    let _ = within_timeout(move || io::stderr().lock().write_all(text.as_bytes()));
}

/// What came of writing, if that took no longer than it may. A pipe that nobody reads would be waited for for
/// ever.
fn within_timeout(write: impl FnOnce() -> io::Result<()> + Send + 'static) -> Option<io::Result<()>> {
    let (sender, outcome) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody waits for it any more where it took too long.
        let _ = sender.send(write());
    });
    outcome.recv_timeout(READER_TIMEOUT).ok()
}

/// Lines up rows under their headings, as lists of commands show them.
pub(super) fn format_table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> String {
    let mut widths = headings.map(|heading| heading.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; COLUMNS]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&headings.map(str::to_owned))];
    lines.extend(rows.iter().map(line));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["long name".to_owned(), "2".to_owned()],
        ];
        assert_eq!(
            format_table(["NAME", "N"], &rows),
            "NAME       N\na          1\nlong name  2"
        );
    }
}
