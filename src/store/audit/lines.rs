use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::AuditRecord;

/// A file that gets one JSON object a line, for whoever collects them.
#[derive(Debug)]
pub(super) struct Lines(Arc<File>);

impl Lines {
    /// Opens a file to write at its end. A new one is its owner's only.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| {
                let message = format!("the audit cannot be written to {}: {error}", path.display());
                io::Error::new(error.kind(), message)
            })?;
        Ok(Self(Arc::new(file)))
    }

    /// Writes records in one piece, without holding up whatever else runs on this thread.
    pub(super) async fn write(&self, records: &[AuditRecord]) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        let file = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || (&*file).write_all(&text)).await?
    }
}
