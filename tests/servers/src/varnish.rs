//! A Varnish in front of a server, with nothing changed of what it does by itself.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};

use tempfile::TempDir;

use super::{find, guarded, wait_until_ready};

const MISSING: &str = "Varnish is missing: `scripts/setup acceptance` installs it, or: sudo apt-get install varnish \
                       (sudo dnf install varnish, brew install varnish)";

pub struct Varnish {
    child: Child,
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Varnish {
    pub fn in_front_of(server: SocketAddr) -> Self {
        // Not in memory: what Varnish compiles its configuration to must be runnable there.
        let directory = tempfile::tempdir().unwrap();
        let mut varnish = Command::new(find("varnishd", MISSING));
        // It cannot give up root's rights here: the directory is root's alone.
        varnish
            .args(["-F", "-j", "none", "-s", "malloc,16m", "-n"])
            .arg(directory.path());
        varnish.args(["-a", "127.0.0.1:0", "-b", &server.to_string()]);
        let mut shell = Command::new("sh");
        let mut child = guarded::spawn(&mut shell, &varnish, "TERM", "").unwrap();
        wait_until_ready(&mut child, || address(directory.path()).is_some())
            .unwrap_or_else(|log| panic!("Varnish did not start: {log}"));
        Self {
            child,
            address: address(directory.path()).unwrap(),
            _directory: directory,
        }
    }
}

impl Drop for Varnish {
    fn drop(&mut self) {
        guarded::end(&mut self.child);
    }
}

/// Where it listens, once it does: `a0 127.0.0.1 41443`.
fn address(directory: &Path) -> Option<SocketAddr> {
    let mut admin = Command::new(find("varnishadm", MISSING));
    let answer = admin
        .arg("-n")
        .arg(directory)
        .arg("debug.listen_address")
        .output()
        .unwrap();
    let text = String::from_utf8(answer.stdout).unwrap();
    let mut words = text.split_whitespace().skip(1);
    format!("{}:{}", words.next()?, words.next()?).parse().ok()
}
