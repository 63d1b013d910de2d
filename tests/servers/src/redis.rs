//! A real Redis on a Unix socket, made for one test and gone with it. It keeps nothing on disk.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

use super::{find, guarded, temporary_directory, wait_until_ready};

const MISSING: &str = "Redis is missing: `scripts/setup test` installs it, or: sudo apt-get install redis-server \
                       (sudo dnf install redis, brew install redis)";

pub struct Redis {
    child: Child,
    directory: TempDir,
}

impl Redis {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let directory = temporary_directory();
        let child = run(directory.path(), arguments);
        Self { child, directory }
    }

    pub fn socket(&self) -> PathBuf {
        socket(self.directory.path())
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Ends the server at once; all that it knew is gone.
    pub fn kill(&mut self) {
        guarded::end(&mut self.child);
    }

    /// Starts a server that was killed again, on its socket and empty.
    pub fn start_again(&mut self) {
        self.child = run(self.directory.path(), &[]);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        guarded::end(&mut self.child);
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("redis.sock")
}

fn run(directory: &Path, arguments: &[&str]) -> Child {
    let mut server = Command::new(find("redis-server", MISSING));
    server
        .args(["--port", "0", "--unixsocket"])
        .arg(socket(directory));
    server.args(["--save", "", "--appendonly", "no"]);
    server.arg("--dir").arg(directory).args(arguments);
    let mut shell = Command::new("sh");
    let mut child = guarded::spawn(&mut shell, &server, "KILL", "").unwrap();
    let is_ready = || UnixStream::connect(socket(directory)).is_ok();
    wait_until_ready(&mut child, is_ready).unwrap_or_else(|log| panic!("Redis did not start: {log}"));
    child
}
