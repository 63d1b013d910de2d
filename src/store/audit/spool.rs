use std::borrow::Borrow;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::AuditRecord;

/// How long another process may take that has the file open too.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
const LOCK_RETRY: Duration = Duration::from_millis(20);

/// A file for the last records of a gateway that stops while the store is away. The next start takes them in.
#[derive(Clone, Debug)]
pub(super) struct Spool(PathBuf);

/// What a spool has, and nobody else can change before it is dropped.
#[derive(Debug)]
pub(super) struct SpooledRecords {
    pub(super) records: Vec<AuditRecord>,
    /// Lines that are no records: what was torn when a disk was full, or comes from a newer version.
    pub(super) unreadable: Vec<String>,
    file: File,
    path: PathBuf,
}

impl Spool {
    /// Makes sure that the file can be written to. A new one is its owner's only, and so is an old one from
    /// now on.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let opened = open(path).and_then(|file| {
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::Error::other("it is no file"));
            }
            file.set_permissions(Permissions::from_mode(0o600))
        });
        opened.map_err(|error| {
            let message = format!("audit.spool: {} cannot be used: {error}", path.display());
            io::Error::new(error.kind(), message)
        })?;
        Ok(Self(path.to_owned()))
    }

    /// Writes records at the end, so that they are on the disk afterwards.
    pub(super) fn append<R: Borrow<AuditRecord>>(&self, records: &[R]) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            serde_json::to_writer(&mut text, record.borrow())?;
            text.push(b'\n');
        }
        let mut file = open(&self.0)?;
        lock(&file)?;
        let mut written = Vec::new();
        file.read_to_end(&mut written)?;
        if !written.is_empty() && !written.ends_with(b"\n") {
            text.insert(0, b'\n');
        }
        file.write_all(&text)?;
        file.sync_all()
    }

    /// All that it has.
    pub(super) fn read(&self) -> io::Result<SpooledRecords> {
        let mut file = open(&self.0)?;
        lock(&file)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut spooled = SpooledRecords {
            records: Vec::new(),
            unreadable: Vec::new(),
            file,
            path: self.0.clone(),
        };
        for line in String::from_utf8_lossy(&bytes)
            .lines()
            .filter(|line| !line.is_empty())
        {
            match serde_json::from_str(line) {
                Ok(record) => spooled.records.push(record),
                Err(_) => spooled.unreadable.push(line.to_owned()),
            }
        }
        Ok(spooled)
    }
}

impl SpooledRecords {
    /// Empties the spool, once the store has the records. Lines that are none move to a file beside it.
    pub(super) fn clear(&self) -> io::Result<()> {
        if !self.unreadable.is_empty() {
            let mut path = self.path.clone().into_os_string();
            path.push(".unreadable");
            let mut file = open(Path::new(&path))?;
            file.write_all((self.unreadable.join("\n") + "\n").as_bytes())?;
            file.sync_all()?;
        }
        self.file.set_len(0)?;
        self.file.sync_all()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
}

fn lock(file: &File) -> io::Result<()> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::park_timeout(LOCK_RETRY)
            }
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("another process has it open")),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::tests::record;

    fn spool() -> (tempfile::TempDir, Spool) {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::open(&directory.path().join("spool")).unwrap();
        (directory, spool)
    }

    #[test]
    fn records_are_read_as_they_were_appended_until_they_are_cleared() {
        let (directory, spool) = spool();
        let records = [record(1), record(2), record(3)];
        spool.append(&records[..2]).unwrap();
        spool.append(&records[2..]).unwrap();
        let path = directory.path().join("spool");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let spooled = spool.read().unwrap();
        assert_eq!(spooled.records, records);
        assert!(spool.append(&records).is_err(), "nobody changes it meanwhile");
        spooled.clear().unwrap();
        drop(spooled);
        assert!(spool.read().unwrap().records.is_empty());
    }

    #[test]
    fn a_line_from_before_records_said_who_acted_is_a_record() {
        let (directory, spool) = spool();
        let mut line = serde_json::to_value(record(1)).unwrap();
        let fields = line.as_object_mut().unwrap();
        assert!(fields.shift_remove("actor").is_some() && fields.shift_remove("client_address").is_some());
        std::fs::write(directory.path().join("spool"), line.to_string() + "\n").unwrap();
        let spooled = spool.read().unwrap();
        assert_eq!(spooled.records.len(), 1, "{:?}", spooled.unreadable);
        assert_eq!(
            (&spooled.records[0].actor, &spooled.records[0].client_address),
            (&None, &None)
        );
    }

    #[test]
    fn a_line_that_was_torn_spoils_no_other_and_is_kept_beside() {
        let (directory, spool) = spool();
        let path = directory.path().join("spool");
        std::fs::write(&path, "{\"id\":\"aud").unwrap();
        spool.append(&[record(1)]).unwrap();
        let spooled = spool.read().unwrap();
        assert_eq!(spooled.records, [record_with_id(&spooled)]);
        spooled.clear().unwrap();
        assert_eq!(
            std::fs::read_to_string(directory.path().join("spool.unreadable")).unwrap(),
            "{\"id\":\"aud\n"
        );
    }

    fn record_with_id(spooled: &SpooledRecords) -> AuditRecord {
        AuditRecord {
            id: spooled.records[0].id.clone(),
            ..record(1)
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_named() {
        for path in ["/nowhere/spool", "/dev/null", "/tmp"] {
            let error = Spool::open(Path::new(path)).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("audit.spool: {path} cannot be used")),
                "{error}"
            );
        }
    }
}
