use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::error::HandoverError;

/// The name of the socket in the directory.
const SOCKET: &str = "handover.sock";
/// What nobody but its owner may do with the directory: anything.
const OTHERS: u32 = 0o077;

/// A directory that only the user of this process may enter.
#[derive(Clone, Debug)]
pub(in crate::cli) struct HandoverDirectory(PathBuf);

impl HandoverDirectory {
    /// Makes sure that it is one.
    pub(in crate::cli) fn open(path: &Path) -> Result<Self, HandoverError> {
        let fault = |reason: String| HandoverError::Directory {
            directory: path.to_owned(),
            reason,
        };
        // A link could lead elsewhere by the time that it is used.
        let found = fs::symlink_metadata(path).map_err(|error| fault(error.to_string()))?;
        if !found.is_dir() {
            return Err(fault("it is no directory".to_owned()));
        }
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own {
            return Err(fault(format!("it belongs to user {}, not to {own}", found.uid())));
        }
        let mode = found.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            return Err(fault(format!(
                "others may enter it: its mode is {mode:03o} and has to be 700"
            )));
        }
        Ok(Self(path.to_owned()))
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join(SOCKET)
    }

    /// Puts a socket there that is found by the next process, in the place of any that is there.
    pub(super) fn bind(&self) -> io::Result<(UnixListener, BoundSocket)> {
        // Under a name of its own first: there is no moment without one.
        let new = self.0.join(format!("{SOCKET}.{}", std::process::id()));
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        let inode = fs::symlink_metadata(&new)?.ino();
        let path = self.socket();
        fs::rename(&new, &path)?;
        let file = BoundSocket {
            path,
            inode,
            is_left: false,
        };
        Ok((listener, file))
    }
}

/// The file of a socket, removed when nobody is behind it any more.
#[derive(Debug)]
pub(super) struct BoundSocket {
    path: PathBuf,
    inode: u64,
    is_left: bool,
}

impl BoundSocket {
    /// Leaves the file where it is: the next process puts its own there.
    pub(super) fn leave(mut self) {
        self.is_left = true;
    }
}

impl Drop for BoundSocket {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        // Another process may have put its own there.
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket for handovers could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_of_ones_own_that_nobody_else_may_enter_will_do() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("handover");
        let reason = || HandoverDirectory::open(&path).unwrap_err().to_string();
        assert!(reason().contains("No such file"), "{}", reason());
        fs::create_dir(&path).unwrap();
        for mode in [0o755, 0o710, 0o701, 0o770] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                reason().contains(&format!("its mode is {mode:03o}")),
                "{}",
                reason()
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(HandoverDirectory::open(&path).is_ok());
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(HandoverDirectory::open(&link).is_err(), "a link is no directory");
    }

    #[tokio::test]
    async fn a_socket_takes_the_place_of_another_and_is_removed_only_by_its_own_process() {
        let path = tempfile::tempdir().unwrap();
        fs::set_permissions(path.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let directory = HandoverDirectory::open(path.path()).unwrap();
        // As kill -9 leaves one.
        drop(std::os::unix::net::UnixListener::bind(directory.socket()).unwrap());
        let (_first, first_file) = directory.bind().unwrap();
        let (_second, second_file) = directory.bind().unwrap();
        drop(first_file);
        assert!(directory.socket().exists());
        drop(second_file);
        assert!(!directory.socket().exists());
    }
}
