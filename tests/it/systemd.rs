//! What systemd gives the process, and what it is told.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::client::Request;
use crate::common::envgate::{Setup, eventually, signal};

const STOPPED_WITHIN: Duration = Duration::from_secs(60);

/// The next message, a line each.
fn next(socket: &UnixDatagram) -> Vec<String> {
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("systemd was told nothing");
    let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn next_with(socket: &UnixDatagram, line: &str) -> Vec<String> {
    loop {
        let message = next(socket);
        if message.iter().any(|told| told == line) {
            return message;
        }
    }
}

#[test]
fn systemd_is_told_when_requests_are_answered_and_when_that_ends() {
    let setup = Setup::new().set("ENVGATE_SERVER__DRAIN_DELAY", "100ms");
    let path = setup.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut envgate = setup.set("NOTIFY_SOCKET", path.to_str().unwrap()).start();
    next_with(&socket, "READY=1");
    envgate.signal("HUP");
    let reloading = next_with(&socket, "RELOADING=1");
    assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    next_with(&socket, "READY=1");
    envgate.signal("TERM");
    let stopping = next_with(&socket, "STOPPING=1");
    let time = stopping
        .iter()
        .find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
    // All of upstream.timeout, which is 60 seconds.
    assert!(time.unwrap().parse::<u64>().unwrap() > 60_000_000, "{stopping:?}");
    assert_eq!(envgate.wait(STOPPED_WITHIN).code(), Some(0));
}

#[test]
fn systemd_is_not_told_ready_before_requests_are_answered_and_waits_meanwhile() {
    let name = format!("envgate-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let setup = Setup::new()
        .set("NOTIFY_SOCKET", &format!("@{name}"))
        // Nobody answers there.
        .set("ENVGATE_STORE__URL", "postgres://envgate@127.0.0.1:1/envgate");
    let mut child = Process(setup.command(&["serve"]).stdout(Stdio::null()).spawn().unwrap());
    let message = next(&socket);
    assert!(
        message[0].starts_with("STATUS=waiting for the store"),
        "{message:?}"
    );
    assert!(message[1].starts_with("EXTEND_TIMEOUT_USEC="), "{message:?}");
    signal(&child.0, "TERM");
    let stopping = next(&socket);
    assert_eq!(stopping[0], "STOPPING=1", "{stopping:?}");
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

#[test]
fn the_watchdog_hears_of_a_gateway_that_works_until_it_has_stopped() {
    let setup = Setup::new();
    let path = setup.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let setup = setup
        .set("NOTIFY_SOCKET", path.to_str().unwrap())
        .set("WATCHDOG_USEC", "400000")
        .set("ENVGATE_SERVER__DRAIN_DELAY", "1h");
    let mut envgate = setup.start();
    for _ in 0..3 {
        next_with(&socket, "WATCHDOG=1");
    }
    envgate.signal("TERM");
    next_with(&socket, "STOPPING=1");
    next_with(&socket, "WATCHDOG=1");
    envgate.signal("TERM");
    envgate.wait(STOPPED_WITHIN);
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `serve` with two sockets, as systemd starts it.
fn activated(setup: &Setup, sockets: [OwnedFd; 2], names: &str) -> Command {
    // A descriptor's number can be chosen only in a shell.
    let script = "exec 3<&0 4<&2 0</dev/null 2>log; LISTEN_PID=$$ exec \"$0\" serve";
    let mut command = setup.command_of("sh", &["-c", script, env!("CARGO_BIN_EXE_envgate")]);
    let [first, second] = sockets.map(Stdio::from);
    command.stdin(first).stderr(second).stdout(Stdio::piped());
    command.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names);
    command
}

#[test]
fn sockets_that_systemd_has_bound_are_used_and_none_is_bound() {
    let [listen, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [listen_at, admin_at] = [&listen, &admin].map(|socket| socket.local_addr().unwrap());
    let setup = Setup::new()
        .set("ENVGATE_LISTEN__ADDRESS", &listen_at.to_string())
        .set("ENVGATE_ADMIN__ADDRESS", &admin_at.to_string());
    // Bound here, they could not be bound there.
    let sockets = [&admin, &listen].map(|socket| socket.try_clone().unwrap().into());
    let mut child = Process(activated(&setup, sockets, "admin:listen").spawn().unwrap());
    let ask = |address, path| Request::new(address, "GET", path).send().status;
    let mut said = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().ends_with(&format!("http://{listen_at}"))));
    eventually("it is ready", || ask(admin_at, "/readyz") == 200);
    assert_eq!(ask(listen_at, "/v1/environments"), 401);
    signal(&child.0, "TERM");
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_socket_that_is_not_what_the_settings_want_ends_the_start() {
    let [listen, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let setup = Setup::new().set("ENVGATE_LISTEN__ADDRESS", "127.0.0.1:1");
    let fails = |sockets: [OwnedFd; 2], expected: &str| {
        let ended = activated(&setup, sockets, "listen:admin").output().unwrap();
        let log = std::fs::read_to_string(setup.path().join("log")).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{log}");
        assert!(log.contains(expected), "{log}");
    };
    let both = || [&listen, &admin].map(|socket| socket.try_clone().unwrap());
    fails(both().map(OwnedFd::from), "listen.address is 127.0.0.1:1");
    let unix = UnixListener::bind(setup.path().join("unix")).unwrap();
    let [_, admin] = both();
    fails(
        [unix.into(), admin.into()],
        "descriptor 3 of LISTEN_FDS is no listening TCP socket",
    );
}
