//! A new process takes over from the one that runs, and no client notices.

mod budget;
mod faults;
mod upgrade;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::client::Request;
use crate::common::envgate::{Setup, pause, signal};
use crate::common::handover::Peer;
use crate::common::upstream::{Then, Upstream};

const PATIENCE: Duration = Duration::from_secs(60);

/// What all processes of a test have in common.
struct House {
    setup: Setup,
    key: String,
    _upstream: Upstream,
}

/// One process of them.
struct Process {
    child: Child,
    gateway: SocketAddr,
    admin: SocketAddr,
    log: PathBuf,
}

impl House {
    fn new() -> Self {
        Self::with(|setup| setup)
    }

    fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::always(Then::environment());
        let setup = Setup::new().upstream(upstream.address);
        let directory = setup.path().join("handover");
        std::fs::create_dir(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
        let setup = change(setup.set("ENVGATE_SERVER__HANDOVER_DIRECTORY", directory.to_str().unwrap()));
        let key = setup.tenant("demo", "default");
        Self {
            setup,
            key,
            _upstream: upstream,
        }
    }

    fn directory(&self) -> PathBuf {
        self.setup.path().join("handover")
    }

    fn socket(&self) -> PathBuf {
        self.directory().join("handover.sock")
    }

    fn command(&self) -> (Command, PathBuf) {
        let log = self.setup.path().join(format!("log.{:?}", Instant::now()));
        let mut command = self.setup.command(&["serve"]);
        command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap());
        (command, log)
    }

    /// Starts a process and waits until it answers and can be followed.
    fn start(&self) -> Process {
        let (command, log) = self.command();
        let process = Process::start(command, log);
        process.wait_until_serving();
        process
    }

    /// What a process that cannot serve says before it ends.
    fn fail(&self) -> String {
        let (mut command, log) = self.command();
        let status = command.status().unwrap();
        let log = std::fs::read_to_string(log).unwrap();
        assert_eq!(status.code(), Some(1), "{log}");
        log
    }

    /// Asks for something at an address; the status of the answer.
    fn ask(&self, gateway: SocketAddr) -> u16 {
        let request = Request::new(gateway, "GET", "/v1/environments/env_1");
        request
            .header("authorization", &format!("Bearer {}", self.key))
            .send()
            .status
    }

    /// Comes as the next process would.
    fn come(&self) -> Peer {
        Peer::new(UnixStream::connect(self.socket()).unwrap())
    }
}

impl Process {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address_after = |wanted: &str| loop {
            let Some(line) = lines.next() else {
                panic!("it ended: {}", std::fs::read_to_string(&log).unwrap());
            };
            let line = line.unwrap();
            if line.contains(wanted) {
                break line.rsplit("://").next().unwrap().trim().parse().unwrap();
            }
        };
        let (gateway, admin) = (address_after("gateway   http"), address_after("admin     http"));
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            gateway,
            admin,
            log,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    #[track_caller]
    fn expect_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "{text:?} is not in {}", self.log());
            pause(Duration::from_millis(20));
        }
    }

    /// Until it says so itself: at its addresses another may answer.
    #[track_caller]
    fn wait_until_serving(&self) {
        self.expect_log("requests are answered");
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it still runs: {}", self.log());
            pause(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the log of process {}:\n{}", self.child.id(), self.log());
        }
    }
}
