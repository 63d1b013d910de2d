//! The folder of `contract.schemas`: read whole and bounded, and never past its own border.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, SHA256};

use super::errors::Problem;
use crate::contract::{SchemaFault, SchemaFile, Schemas};

/// How large a file may be; the largest schema that ships has some kilobytes.
const MOST_BYTES: u64 = 256 * 1024;
/// How many entries the folder may have, all in all.
const MOST_ENTRIES: usize = 200;
/// How often it is read anew where it changes meanwhile.
const READINGS: usize = 4;

/// A folder of files that are laid over the schemas of this release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Its files, by their paths in it.
    pub files: Arc<[SchemaFile]>,
    digest: [u8; 32],
}

/// The files of a folder, and what is wrong with those that cannot be read.
#[derive(Default, PartialEq, Eq)]
struct Reading {
    files: Vec<SchemaFile>,
    faults: Vec<Problem>,
    entries: usize,
}

impl SchemaFolder {
    /// Reads the folder and lays its files over the schemas of this release. Blocks.
    pub(super) fn read(path: &Path) -> Result<(Self, Schemas), Vec<Problem>> {
        let reading = Reading::settled(path)?;
        if !reading.faults.is_empty() {
            // What the others hold is told as well.
            let others = Schemas::overlaid(&reading.files).err().unwrap_or_default();
            let others = others.into_iter().map(Problem::Schema);
            return Err(reading.faults.into_iter().chain(others).collect());
        }
        let schemas = Schemas::overlaid(&reading.files)
            .map_err(|faults| faults.into_iter().map(Problem::Schema).collect::<Vec<_>>())?;
        let folder = Self {
            path: path.to_owned(),
            digest: reading.digest(),
            files: reading.files.into(),
        };
        Ok((folder, schemas))
    }

    /// A digest of all that its files hold.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The same of what the folder at a path holds now, for whoever looks whether it has changed. Blocks.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn look(path: &Path) -> io::Result<[u8; 32]> {
        Ok(Reading::new(path)?.digest())
    }
}

impl Reading {
    /// As it is once two readings in a row have found the same: files may be just about to be replaced.
    fn settled(path: &Path) -> Result<Self, Vec<Problem>> {
        if path
            .as_os_str()
            .as_encoded_bytes()
            .windows(3)
            .any(|part| part == b"://")
        {
            return Err(vec![Problem::SchemasNotLocal]);
        }
        let read = || Self::new(path).map_err(|error| vec![Problem::Unreadable(error.to_string())]);
        let mut before = read()?;
        for _ in 1..READINGS {
            let now = read()?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        Err(vec![Problem::SchemasChange])
    }

    fn new(path: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(path)?;
        let mut reading = Self::default();
        reading.folder(&root, &root, "")?;
        reading.files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(reading)
    }

    /// Reads a folder within the `root`; `prefix` is its path there, with a slash at its end.
    fn folder(&mut self, root: &Path, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                if self.entries == MOST_ENTRIES + 1 {
                    self.faults.push(Problem::SchemasTooMany { most: MOST_ENTRIES });
                }
                return Ok(());
            }
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            // Of editors, of version control, and how Kubernetes keeps versions of what it mounts.
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{prefix}{name}");
            if let Err(problem) = self.entry(root, &folder.join(&*name), &path) {
                self.faults.push(Problem::Schema(SchemaFault {
                    file: path,
                    pointer: String::new(),
                    problem,
                }));
            }
        }
        Ok(())
    }

    fn entry(&mut self, root: &Path, entry: &Path, path: &str) -> Result<(), String> {
        let unreadable = |error: io::Error| format!("cannot be read: {error}");
        let place = fs::canonicalize(entry).map_err(unreadable)?;
        if !place.starts_with(root) {
            return Err("is a link that leads out of the folder".to_owned());
        }
        if fs::metadata(&place).map_err(unreadable)?.is_dir() {
            // No path of a schema has more than two parts.
            if path.contains('/') {
                return Err("no schema is in such a folder".to_owned());
            }
            return self.folder(root, &place, &format!("{path}/")).map_err(unreadable);
        }
        Schemas::check_file_name(path).map_err(|fault| fault.problem)?;
        let content = read_file(&place)?;
        self.files.push(SchemaFile {
            path: path.to_owned(),
            content,
        });
        Ok(())
    }

    fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        let mut add = |part: &[u8]| {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        };
        for SchemaFile { path, content } in &self.files {
            add(path.as_bytes());
            add(content);
        }
        for fault in &self.faults {
            add(fault.to_string().as_bytes());
        }
        context.finish().as_ref().try_into().unwrap_or_default()
    }
}

/// A pipe that nobody writes to is never waited for.
fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let read = || {
        let mut options = OpenOptions::new();
        let file: File = options.read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut content = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut content)?;
        Ok::<_, io::Error>(Some(content))
    };
    match read().map_err(|error| format!("cannot be read: {error}"))? {
        None => Err("is no file".to_owned()),
        Some(content) if u64::try_from(content.len()).is_ok_and(|bytes| bytes > MOST_BYTES) => {
            Err(format!("is larger than {} KiB", MOST_BYTES / 1024))
        }
        Some(content) => Ok(content),
    }
}

#[cfg(test)]
mod tests;
