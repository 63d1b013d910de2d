//! A real PostgreSQL on a Unix socket: one server for a test process, with a database for each test that asks; or one
//! of the test's own, where it kills it or has settings for it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::{guarded, temporary_directory, wait_until_ready};

const MISSING: &str = "PostgreSQL is missing: `scripts/setup test` installs it, or: sudo apt-get install postgresql \
                       (sudo dnf install postgresql-server, brew install postgresql)";

/// Cuts the connections of all who listen for notifications in this database; a row for each.
pub const CUT_LISTENERS: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                 WHERE datname = current_database() AND query LIKE 'LISTEN %'";

/// The server that all tests of this process share.
static SHARED: OnceLock<Shared> = OnceLock::new();

struct Shared {
    directory: PathBuf,
    template: OnceLock<String>,
    databases: AtomicU32,
    /// Its end is that of the process.
    _child: Child,
}

impl Shared {
    fn get() -> &'static Self {
        SHARED.get_or_init(|| {
            let directory = new_cluster(|_| Vec::new()).0.keep();
            // Nothing drops a static, so the directory is the guard's to remove.
            let remove = directory.to_str().unwrap();
            let child = run(&directory, &["max_connections=400".to_owned()], remove).unwrap();
            Self {
                directory,
                template: OnceLock::new(),
                databases: AtomicU32::new(0),
                _child: child,
            }
        })
    }

    fn create(&self, template: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        name
    }

    fn execute(&self, statement: &str) {
        let mut psql = command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--command", statement, &url(&self.directory, "postgres")]);
        let ended = psql.output().unwrap();
        let complaint = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{statement}: {complaint}");
    }
}

/// A database in the server that the tests share; it goes away with the test.
pub struct Database {
    name: String,
}

impl Database {
    pub fn empty() -> Self {
        let name = Shared::get().create("template0");
        Self { name }
    }

    /// A copy of the one database of this process that `migrate`, given its URL, has brought up to date. No connection
    /// of `migrate` may be left.
    pub fn migrated(migrate: impl FnOnce(&str)) -> Self {
        let server = Shared::get();
        let template = server.template.get_or_init(|| {
            let name = server.create("template0");
            migrate(&url(&server.directory, &name));
            name
        });
        let name = server.create(template);
        Self { name }
    }

    pub fn url(&self) -> String {
        url(&Shared::get().directory, &self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // It may be full of connections yet, and is copied by nobody.
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        if !std::thread::panicking() {
            Shared::get().execute(&statement);
        }
    }
}

/// A server of the test's own, with its files in a directory of its own.
pub struct Server {
    child: Child,
    settings: Vec<String>,
    directory: TempDir,
    url: String,
}

impl Server {
    /// Makes a database cluster and starts its server.
    pub fn start() -> Self {
        let directory = new_cluster(|_| Vec::new()).0;
        let child = run(directory.path(), &[], "").unwrap();
        Self {
            child,
            settings: Vec::new(),
            url: url(directory.path(), "postgres"),
            directory,
        }
    }

    /// One that listens on a TCP port of `localhost` instead, as TLS wants it. The settings, such as `ssl=on`, may name
    /// files in the directory that they are told.
    pub fn start_on_tcp(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let (directory, settings) = new_cluster(settings);
        let mut log = String::new();
        // It cannot be given port 0 to choose one. These are none that the system gives to others.
        for attempt in 0..50 {
            let port = 20_000 + (std::process::id() + attempt * 97) % 10_000;
            let mut settings = settings.clone();
            settings.extend(["listen_addresses=127.0.0.1".to_owned(), format!("port={port}")]);
            match run(directory.path(), &settings, "") {
                Ok(child) => {
                    return Self {
                        child,
                        settings,
                        url: format!("postgres://envgate@localhost:{port}/postgres"),
                        directory,
                    };
                }
                Err(said) => log = said,
            }
        }
        panic!("PostgreSQL did not start: {log}");
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Where its socket is.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends the server at once, as a crash would; every connection breaks.
    pub fn kill(&mut self) {
        guarded::end(&mut self.child);
    }

    /// Starts a server that was killed again, with all that was committed.
    pub fn start_again(&mut self) {
        self.child = run(self.directory.path(), &self.settings, "").unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        guarded::end(&mut self.child);
    }
}

fn url(directory: &Path, database: &str) -> String {
    format!("postgres:///{database}?host={}&user=envgate", directory.display())
}

/// The files of a server that has not run yet, and the settings that it will have.
fn new_cluster(settings: impl FnOnce(&Path) -> Vec<String>) -> (TempDir, Vec<String>) {
    let directory = temporary_directory();
    let settings = settings(directory.path());
    if let Some((uid, gid)) = other_user() {
        chown(directory.path(), Some(uid), Some(gid)).unwrap();
        for file in fs::read_dir(directory.path()).unwrap() {
            chown(file.unwrap().path(), Some(uid), Some(gid)).unwrap();
        }
    }
    let ended = command("initdb")
        .args(["--username=envgate", "--auth=trust", "--no-sync", "--locale=C"])
        .args(["--encoding=UTF8", "--pgdata"])
        .arg(directory.path().join("data"))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "initdb: {complaint}");
    (directory, settings)
}

/// Starts the server of a cluster; where it cannot, its log comes back.
fn run(directory: &Path, settings: &[String], remove: &str) -> Result<Child, String> {
    let data = directory.join("data");
    let mut server = command("postgres");
    server.arg("-D").arg(&data).arg("-k").arg(directory);
    // What is lost with the machine is lost with the test.
    let common = [
        "listen_addresses=",
        "fsync=off",
        "shared_buffers=16MB",
        "max_connections=60",
    ];
    for setting in common.into_iter().chain(settings.iter().map(String::as_str)) {
        server.args(["-c", setting]);
    }
    let mut child = guarded::spawn(&mut as_its_user("sh"), &server, "QUIT", remove).unwrap();
    wait_until_ready(&mut child, || is_ready(&data))?;
    Ok(child)
}

/// The last line of the lock file says what the server is about.
fn is_ready(data: &Path) -> bool {
    fs::read_to_string(data.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|status| status.trim() == "ready"))
}

/// A program of PostgreSQL, run as the user that it wants.
fn command(program: &str) -> Command {
    as_its_user(find(program))
}

pub(crate) fn as_its_user(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Where a program of the server is: on the path, or where packages hide it.
fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let hidden = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];
    let hidden = hidden
        .into_iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flatten()
        .map(|entry| entry.unwrap().path().join("bin"));
    std::env::split_paths(&path)
        .chain(hidden)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .expect(MISSING)
}

/// PostgreSQL refuses to run as root; its package has made a user for it.
pub(crate) fn other_user() -> Option<(u32, u32)> {
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
