//! The built binary, started as an operator would.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use tempfile::TempDir;

use super::client::{Request, Response};
use super::tls::TlsClient;

/// A gateway that runs, and stops with the test.
pub struct Envgate {
    child: Child,
    pub gateway: SocketAddr,
    pub admin: SocketAddr,
    /// The key of the demo tenant, or of the tenant made for the test.
    pub key: String,
    /// All that was said on standard output at the start.
    pub said: String,
    /// What came after that.
    said_later: Arc<Mutex<String>>,
    setup: Setup,
}

/// Settings and files of one gateway.
pub struct Setup {
    directory: TempDir,
    environment: Vec<(String, String)>,
    has_file: bool,
    stderr: Option<Stdio>,
    /// The soft and the hard limit of descriptors of `serve`.
    descriptors: Option<(u32, u32)>,
    /// What speaks with the admin address, where that wants TLS.
    admin_client: Option<TlsClient>,
}

impl Setup {
    pub fn new() -> Self {
        let directory = envgate_test_servers::temporary_directory();
        let store = format!("sqlite:{}", directory.path().join("envgate.db").display());
        Self {
            directory,
            environment: Vec::new(),
            has_file: false,
            stderr: None,
            descriptors: None,
            admin_client: None,
        }
        .set("ENVGATE_LISTEN__ADDRESS", "127.0.0.1:0")
        .set("ENVGATE_ADMIN__ADDRESS", "127.0.0.1:0")
        .set("ENVGATE_SERVER__THREADS", "2")
        .set("ENVGATE_STORE__URL", &store)
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a variable away again.
    pub fn unset(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Writes a configuration file, which every command is then given.
    pub fn file(mut self, text: &str) -> Self {
        std::fs::write(self.directory.path().join("envgate.toml"), text).unwrap();
        self.has_file = true;
        self
    }

    /// Where `serve` logs, instead of a file that [`Envgate::log`] reads.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// How many descriptors `serve` is given: its soft and its hard limit.
    pub fn descriptors(mut self, soft: u32, hard: u32) -> Self {
        self.descriptors = Some((soft, hard));
        self
    }

    /// Speaks TLS with the admin address.
    pub fn admin_client(mut self, client: TlsClient) -> Self {
        self.admin_client = Some(client);
        self
    }

    /// Makes a tenant on a plan, and gives back a key of it.
    pub fn tenant(&self, name: &str, plan: &str) -> String {
        self.run_well(&["tenants", "create", name, "--plan", plan]);
        self.run_well(&["keys", "create", "--tenant", name, "--quiet"])
    }

    /// Puts an upstream of the test's own behind the gateway. Its one tenant has the credential for itself,
    /// so its environments need no stamp, and requests go up as they came.
    pub fn upstream(self, address: SocketAddr) -> Self {
        self.set("ENVGATE_UPSTREAM__URL", &format!("http://{address}"))
            .set("ENVGATE_UPSTREAM__CREDENTIAL", OPERATOR_KEY)
            // A request that no test has asked for.
            .set("ENVGATE_UPSTREAM__LIST_AT_START", "false")
            .set("ENVGATE_OWNERSHIP__STAMP", "false")
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and gives back its standard output without the last newline.
    pub fn run_well(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "envgate {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command_of(env!("CARGO_BIN_EXE_envgate"), arguments);
        if self.has_file {
            command.args(["--config", "envgate.toml"]);
        }
        command
    }

    /// Another program, with the same environment and in the same directory.
    pub fn command_of(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let inherited = ["PATH", "HOME", "LLVM_PROFILE_FILE"];
        let inherited = std::env::vars_os().filter(|(name, _)| inherited.iter().any(|wanted| name == wanted));
        command
            .env_clear()
            .envs(inherited)
            .envs(self.environment.clone())
            .args(arguments);
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    /// Starts the gateway and waits until it is ready. With an upstream of the test's own there is no demo
    /// tenant; one is made.
    pub fn start(self) -> Envgate {
        let made = self.has_upstream().then(|| {
            self.run_well(&["tenants", "create", "demo"]);
            self.run_well(&["keys", "create", "--tenant", "demo", "--quiet"])
        });
        self.start_with(made)
    }

    /// Starts a gateway on a store that has a tenant with this key already.
    pub fn start_for(self, key: &str) -> Envgate {
        self.start_with(Some(key.to_owned()))
    }

    fn has_upstream(&self) -> bool {
        let mut names = self.environment.iter().map(|(name, _)| name);
        names.any(|name| name == "ENVGATE_UPSTREAM__URL")
    }

    fn start_with(mut self, made: Option<String>) -> Envgate {
        let log = std::fs::File::create(self.log_path()).unwrap();
        let mut serve = self.command(&["serve"]);
        if let Some((soft, hard)) = self.descriptors {
            serve = self.limited(&serve, &format!("ulimit -Sn {soft} && ulimit -Hn {hard}"));
        }
        let mut child = serve
            .stdout(Stdio::piped())
            .stderr(self.stderr.take().unwrap_or(log.into()))
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let mut line_with = |wanted: &str| -> String {
            loop {
                let line = lines
                    .next()
                    .expect("serve ended before it said all it should")
                    .unwrap();
                said.push_str(&line);
                said.push('\n');
                if line.contains(wanted) {
                    return line;
                }
            }
        };
        let address = |line: String| line.rsplit("://").next().unwrap().trim().parse().unwrap();
        let gateway = address(line_with("gateway   http"));
        let admin = address(line_with("admin     http"));
        let key = made.unwrap_or_else(|| {
            let key = line_with("  sk-eg-").trim().to_owned();
            line_with("    -d ");
            key
        });
        let said_later = Arc::<Mutex<String>>::default();
        let later = Arc::clone(&said_later);
        std::thread::spawn(move || lines.for_each(|line| later.lock().push_str(&(line.unwrap() + "\n"))));
        let envgate = Envgate {
            child,
            gateway,
            admin,
            key,
            said,
            said_later,
            setup: self,
        };
        envgate.wait_until_ready();
        envgate
    }

    /// The same command, where the shell sets a limit before it.
    fn limited(&self, command: &Command, limit: &str) -> Command {
        let script = format!("{limit} && exec \"$0\" \"$@\"");
        let mut limited = self.command_of("sh", &["-c", &script]);
        limited.arg(command.get_program()).args(command.get_args());
        limited
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

pub const OPERATOR_KEY: &str = "sk-ant-operator-secret";

impl Envgate {
    /// The gateway on the embedded environments service.
    pub fn start() -> Self {
        Setup::new().start()
    }

    /// The gateway in front of an upstream of the test's own.
    pub fn in_front_of(address: SocketAddr) -> Self {
        Setup::new().upstream(address).start()
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.admin_get("/readyz").status != 200 {
            assert!(Instant::now() < deadline, "not ready: {}", self.log());
            pause(Duration::from_millis(20));
        }
    }

    /// A request with the demo tenant's key as Bearer.
    pub fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.gateway, method, path).header("authorization", &format!("Bearer {}", self.key))
    }

    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path).send()
    }

    pub fn post(&self, path: &str, body: &str) -> Response {
        self.request("POST", path)
            .header("content-type", "application/json")
            .body(body)
            .send()
    }

    pub fn admin_get(&self, path: &str) -> Response {
        self.admin_send(&Request::new(self.admin, "GET", path))
    }

    /// A request to the admin address, in TLS where that wants it.
    pub fn admin_send(&self, request: &Request) -> Response {
        match &self.setup.admin_client {
            Some(client) => client.send(self.admin, request),
            None => request.send(),
        }
    }

    /// What `/readyz` answers, and all that the gateway says of why; the word where there is nothing to say.
    pub fn readiness(&self) -> (u16, String) {
        let told = self.admin_get("/api/v1/readiness").json();
        let detail = told["detail"].as_str().or(told["status"].as_str());
        (self.admin_get("/readyz").status, detail.unwrap().to_owned())
    }

    /// The value of a metric, named with its labels as the text format shows them; 0 where it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.admin_get("/metrics").text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric has this value. A request is counted once its last byte is out, so its client may
    /// look too early.
    #[track_caller]
    pub fn expect_metric(&self, name: &str, value: f64) {
        let deadline = Instant::now() + Duration::from_secs(2);
        while (self.metric(name) - value).abs() > f64::EPSILON {
            assert!(
                Instant::now() < deadline,
                "{name} is {}, expected {value}",
                self.metric(name)
            );
            pause(Duration::from_millis(10));
        }
    }

    /// A command on the same store and settings.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.setup.run(arguments)
    }

    /// The same, where it must succeed: its standard output without the last newline.
    pub fn run_well(&self, arguments: &[&str]) -> String {
        self.setup.run_well(arguments)
    }

    /// What came on standard output after the start.
    pub fn said_later(&self) -> String {
        self.said_later.lock().clone()
    }

    /// A command on the same store that knows nothing of the gateway's other settings.
    pub fn run_on_its_store(&self, arguments: &[&str]) -> Output {
        let mut names = self.setup.environment.iter();
        let url = names.find(|(name, _)| name == "ENVGATE_STORE__URL").unwrap();
        Setup::new().set("ENVGATE_STORE__URL", &url.1).run(arguments)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.setup.log_path()).unwrap()
    }

    /// Waits until a line with this text is written; no request waits for that.
    #[track_caller]
    pub fn expect_log(&self, text: &str) {
        eventually(&format!("{text:?} stands in the log"), || {
            self.log().contains(text)
        });
    }

    /// Stops the gateway in order; gives back all that it has logged.
    pub fn stop(&mut self) -> String {
        self.signal("TERM");
        self.wait(Duration::from_secs(30));
        self.log()
    }

    /// How much memory the process has.
    pub fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// Where its settings and files are.
    pub fn path(&self) -> &Path {
        self.setup.path()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the process to end by itself.
    pub fn wait(&mut self, patience: Duration) -> std::process::ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running after {patience:?}");
            pause(Duration::from_millis(20));
        }
    }
}

impl Drop for Envgate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let mut log = String::new();
            let _ =
                std::fs::File::open(self.setup.log_path()).and_then(|mut file| file.read_to_string(&mut log));
            eprintln!("the gateway's log:\n{log}");
        }
    }
}

/// Sends a signal to a process that a test has started.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Tests run on threads of their own, which may sleep.
#[allow(clippy::disallowed_methods)]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    eventually_within(what, Duration::from_secs(10), holds);
}

/// The same, of what takes longer.
#[track_caller]
pub fn eventually_within(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "did not come about: {what}");
        pause(Duration::from_millis(20));
    }
}
