//! A Prometheus that scrapes what a test has, and is asked as Grafana asks it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use super::haproxy::free_address;
use super::{find, guarded, temporary_directory, wait_until_ready};

const MISSING: &str = "Prometheus is missing: `scripts/setup acceptance` installs it, or: sudo apt-get install prometheus \
                       (sudo dnf install golang-github-prometheus, brew install prometheus)";

pub struct Prometheus {
    child: Child,
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts one with this configuration, which may name files by their whole paths.
    pub fn start(configuration: &str) -> Self {
        let directory = temporary_directory();
        let address = free_address();
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, configuration).unwrap();
        let mut prometheus = Command::new(find("prometheus", MISSING));
        prometheus
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .args(["--enable-feature=exemplar-storage", "--log.level=warn"]);
        let mut shell = Command::new("sh");
        let mut child = guarded::spawn(&mut shell, &prometheus, "TERM", "").unwrap();
        // It listens before it has read what it has, and answers nothing until then.
        let ready = format!("http://{address}/-/ready");
        wait_until_ready(&mut child, || curl(&["--fail", &ready]).status.success())
            .unwrap_or_else(|log| panic!("Prometheus did not start: {log}"));
        Self {
            child,
            address,
            _directory: directory,
        }
    }

    /// What its API answers at a path below `/api/v1/`, as JSON.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> String {
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let url = format!("http://{}/api/v1/{path}", self.address);
        let mut arguments = vec!["--get", &url];
        for parameter in &parameters {
            arguments.extend(["--data-urlencode", parameter.as_str()]);
        }
        let answer = curl(&arguments);
        assert!(
            answer.status.success(),
            "{}",
            String::from_utf8_lossy(&answer.stderr)
        );
        String::from_utf8(answer.stdout).unwrap()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        guarded::end(&mut self.child);
    }
}

fn curl(arguments: &[&str]) -> Output {
    let mut curl = Command::new(find("curl", "curl is missing: `scripts/setup test` installs it"));
    curl.args(["-sS", "--max-time", "60", "--noproxy", "*"])
        .args(arguments);
    curl.output().unwrap()
}

/// Runs its tool in a directory.
pub fn promtool(directory: &Path, arguments: &[&str]) -> Output {
    let program: PathBuf = find("promtool", MISSING);
    let mut tool = Command::new(program);
    tool.args(arguments).current_dir(directory).output().unwrap()
}

/// Has its tool judge metrics as a scraper gets them.
pub fn check_metrics(text: &str) -> Output {
    let mut tool = Command::new(find("promtool", MISSING))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It reads all before it says anything.
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    tool.wait_with_output().unwrap()
}
