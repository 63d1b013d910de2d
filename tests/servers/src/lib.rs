//! Real servers for the tests of the store and for `tests/it`: PostgreSQL and Redis, on Unix sockets of their own, and
//! what the acceptance tests put before or behind envgate.
//! No server outlives the process that started it, however that ends.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs
)]

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

mod guarded;
pub mod haproxy;
pub mod machine;
pub mod pgbouncer;
pub mod postgres;
pub mod prometheus;
pub mod redis;
pub mod varnish;

/// A directory for what goes away with a test: in memory where there is enough of it, since what a database writes is
/// hundreds of files.
pub fn temporary_directory() -> TempDir {
    static PARENT: OnceLock<PathBuf> = OnceLock::new();
    let parent = PARENT.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        if free_bytes(&memory) > MEMORY_NEEDED {
            memory
        } else {
            std::env::temp_dir()
        }
    });
    TempDir::new_in(parent).unwrap()
}

/// What all tests together write, and as much again. A container's usual 64 MB are too few.
const MEMORY_NEEDED: u64 = 2 << 30;

fn free_bytes(directory: &Path) -> u64 {
    let answer = Command::new("df").arg("-Pk").arg(directory).output();
    let answer = answer.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
    });
    let row = answer.lines().nth(1).unwrap_or_default();
    let free = row
        .split_whitespace()
        .nth(3)
        .and_then(|kilobytes| kilobytes.parse::<u64>().ok());
    free.unwrap_or(0) * 1024
}

/// Waits until a server that was started answers. Where it ended instead, its log comes back.
fn wait_until_ready(child: &mut Child, is_ready: impl Fn() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_ready() {
        let has_ended = child.try_wait().unwrap().is_some();
        if has_ended || Instant::now() > deadline {
            guarded::end(child);
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            return Err(log);
        }
        pause(Duration::from_millis(5));
    }
    // Nobody reads its log any more, and it must not stop for that.
    let mut log = child.stderr.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Ok(())
}

/// Where a server's program is: on the path, or where a user's path does not lead.
fn find(program: &str, missing: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(program))
        .find(|program| program.is_file())
        .expect(missing)
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests run on threads of their own, which may sleep"
)]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
