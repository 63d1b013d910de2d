use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use prometheus::IntCounter;

use super::AuditRecord;
use crate::telemetry::LineWriter;

/// How much may wait for a file that is slow: some thousand records.
const MAX_WAITING_BYTES: usize = 8 << 20;

/// A file that gets one JSON object a line, for whoever collects them. It stands beside the store: neither
/// waits for the other.
#[derive(Debug)]
pub(super) struct AuditFile(LineWriter);

impl AuditFile {
    /// Opens a file to write at its end. A new one is its owner's only. Lines that it does not take are
    /// counted in `lost`.
    pub(super) fn open(path: &Path, lost: IntCounter) -> io::Result<Self> {
        let sink = Sink::open(path).map_err(|error| {
            let message = format!("the audit cannot be written to {}: {error}", path.display());
            io::Error::new(error.kind(), message)
        })?;
        LineWriter::spawn("audit file", sink, MAX_WAITING_BYTES, lost).map(Self)
    }

    pub(super) fn push(&self, record: &AuditRecord) {
        // Nothing in a record can fail to be written as JSON.
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        self.0.push(&line);
    }

    /// Waits until all is written, at most so long. Gives back how many lines are not.
    pub(super) fn flush(&self, patience: Duration) -> u64 {
        self.0.flush(patience)
    }
}

/// A pipe that nobody reads, or reads any more, is opened again for the next lines.
struct Sink {
    path: PathBuf,
    file: Option<File>,
}

impl Sink {
    fn open(path: &Path) -> io::Result<Self> {
        let file = match path.to_str() {
            // Opening these anew would fail where they are sockets, and write over what is in them where they
            // are files.
            Some("/dev/stdout") => Some(io::stdout().as_fd().try_clone_to_owned()?.into()),
            Some("/dev/stderr") => Some(io::stderr().as_fd().try_clone_to_owned()?.into()),
            _ => match open(path) {
                Err(error) if is_unread_pipe(path, &error) => {
                    let path = path.display();
                    tracing::warn!(%path, "nobody reads the pipe that the audit is written to");
                    None
                }
                outcome => Some(outcome?),
            },
        };
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(open(&self.path)?),
        };
        let outcome = file.write(bytes);
        if outcome
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
        {
            self.file = None;
        }
        outcome
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Without waiting for whoever reads a pipe, neither now nor when it is written to.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
}

fn is_unread_pipe(path: &Path, error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENXIO) && path.metadata().is_ok_and(|file| file.file_type().is_fifo())
}
