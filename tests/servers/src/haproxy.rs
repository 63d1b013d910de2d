//! An HAProxy before some gateways, as its documentation sets one up: it asks each for its health, and sends requests to
//! those that say they are ready.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};

use tempfile::TempDir;

use super::{find, guarded, temporary_directory, wait_until_ready};

const MISSING: &str = "HAProxy is missing: `scripts/setup acceptance` installs it, or: sudo apt-get install haproxy \
                       (sudo dnf install haproxy, brew install haproxy)";

pub struct HaProxy {
    child: Child,
    pub address: SocketAddr,
    _directory: TempDir,
}

impl HaProxy {
    /// Balances between gateways that tell their health at `health_path`. Where they speak TLS, `authority` is the file
    /// of whoever signs their certificates, for `localhost`.
    pub fn in_front_of(gateways: &[SocketAddr], health_path: &str, authority: Option<&Path>) -> Self {
        let directory = temporary_directory();
        let address = free_address();
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, configuration(address, gateways, health_path, authority)).unwrap();
        let mut haproxy = Command::new(find("haproxy", MISSING));
        haproxy.args(["-db", "-f"]).arg(&file);
        let mut shell = Command::new("sh");
        let mut child = guarded::spawn(&mut shell, &haproxy, "KILL", "").unwrap();
        wait_until_ready(&mut child, || TcpStream::connect(address).is_ok())
            .unwrap_or_else(|log| panic!("HAProxy did not start: {log}"));
        Self {
            child,
            address,
            _directory: directory,
        }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        guarded::end(&mut self.child);
    }
}

/// An address that nobody listens at, for a server that has to be told one.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn configuration(
    address: SocketAddr,
    gateways: &[SocketAddr],
    health_path: &str,
    authority: Option<&Path>,
) -> String {
    let tls = authority.map_or(String::new(), |file| {
        let file = file.display();
        format!(
            " ssl verify required ca-file {file} verifyhost localhost sni str(localhost) check-sni localhost"
        )
    });
    let mut text = format!(
        "defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 60s
    timeout check 5s
    # Only what never reached a server is sent once more: a write is not.
    retries 3
    retry-on conn-failure
    option redispatch
frontend tenants
    bind {address}
    default_backend gateways
backend gateways
    balance roundrobin
    option httpchk GET {health_path}
    default-server check inter 500ms fall 2 rise 1{tls}
"
    );
    for (number, gateway) in gateways.iter().enumerate() {
        text.push_str(&format!("    server gateway{number} {gateway}\n"));
    }
    text
}
