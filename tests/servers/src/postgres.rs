//! A real PostgreSQL on loopback, made for one test and gone with it.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::pause;

const MISSING: &str = "PostgreSQL is missing: sudo apt-get install postgresql (or: sudo dnf install \
                       postgresql-server, brew install postgresql)";

/// Cuts the connections of all who listen for notifications; a row for each.
pub const CUT_LISTENERS: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'";

/// A server with its files in a directory of its own.
pub struct Server {
    child: Child,
    port: u16,
    settings: Vec<String>,
    directory: TempDir,
}

impl Server {
    /// Makes a database cluster and starts its server on a free port.
    pub fn start() -> Self {
        Self::start_with(|_| Vec::new())
    }

    /// The same, with settings such as `ssl=on`, which may name files in the directory that they are told.
    pub fn start_with(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        if let Some((uid, gid)) = other_user() {
            chown(directory.path(), Some(uid), Some(gid)).unwrap();
            for file in fs::read_dir(directory.path()).unwrap() {
                chown(file.unwrap().path(), Some(uid), Some(gid)).unwrap();
            }
        }
        let made = command("initdb")
            .args(["--username=envgate", "--auth=trust", "--no-sync", "--locale=C"])
            .args(["--encoding=UTF8", "--pgdata"])
            .arg(directory.path().join("data"))
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {complaint}");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = run(directory.path(), port, &settings);
        Self {
            child,
            port,
            settings,
            directory,
        }
    }

    pub fn url(&self) -> String {
        format!("postgres://envgate@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends the server at once, as a crash would; every connection breaks.
    pub fn kill(&mut self) {
        signal(&self.child, "QUIT");
        self.child.wait().unwrap();
    }

    /// Starts a server that was killed again, with all that was committed.
    pub fn start_again(&mut self) {
        self.child = run(self.directory.path(), self.port, &self.settings);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            signal(&self.child, "QUIT");
        }
        let _ = self.child.wait();
    }
}

fn run(directory: &Path, port: u16, settings: &[String]) -> Child {
    let data = directory.join("data");
    let mut server = command("postgres");
    server.arg("-D").arg(&data).arg("-k").arg(directory);
    server.args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
    // What is lost with the machine is lost with the test.
    server.args([
        "-c",
        "fsync=off",
        "-c",
        "shared_buffers=4MB",
        "-c",
        "max_connections=60",
    ]);
    for setting in settings {
        server.args(["-c", setting]);
    }
    let mut child = server
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_ready(&data) {
        let has_ended = child.try_wait().unwrap().is_some();
        if has_ended || Instant::now() > deadline {
            let _ = child.kill();
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("PostgreSQL did not start: {log}");
        }
        pause(Duration::from_millis(20));
    }
    // Nobody reads its log any more, and it must not stop for that.
    let mut log = child.stderr.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    child
}

/// The last line of the lock file says what the server is about.
fn is_ready(data: &Path) -> bool {
    fs::read_to_string(data.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|status| status.trim() == "ready"))
}

/// A program of PostgreSQL, run as the user that it wants.
fn command(program: &str) -> Command {
    let directory = programs();
    let mut command = Command::new(directory.join(program));
    command.current_dir("/");
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Where the programs of the server are: on the path, or where packages hide them.
fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let hidden = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
    let hidden = hidden
        .into_iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin"));
    std::env::split_paths(&path)
        .chain(hidden)
        .find(|directory| directory.join("postgres").is_file() && directory.join("initdb").is_file())
        .expect(MISSING)
}

/// PostgreSQL refuses to run as root; its package has made a user for it.
fn other_user() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    if !is_root {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let fields: Vec<_> = users
        .lines()
        .find_map(|line| line.strip_prefix("postgres:"))
        .expect(MISSING)
        .split(':')
        .collect();
    Some((fields[1].parse().unwrap(), fields[2].parse().unwrap()))
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}
