//! A Debian with systemd as its first process, in namespaces of its own: what is written to it, mounted and started goes
//! with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{guarded, pause, wait_until_ready};

const MISSING: &str = "a Debian to boot is missing: `scripts/setup acceptance` makes .tools/roots/machine";

pub struct Machine {
    child: Child,
    directory: TempDir,
    first_process: String,
}

impl Machine {
    /// Boots the Debian whose files are in `.tools/roots/machine`, and waits until all of it is up.
    pub fn boot() -> Self {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/roots/machine");
        let files = files.canonicalize().expect(MISSING);
        let directory = TempDir::with_prefix("envgate-machine-").unwrap();
        fs::create_dir(directory.path().join("memory")).unwrap();
        let script = directory.path().join("machine.sh");
        fs::write(&script, include_str!("machine.sh")).unwrap();
        let mut machine = Command::new("sh");
        machine.arg(script).arg(files).arg(directory.path());
        let mut child = guarded::spawn(&mut Command::new("sh"), &machine, "KILL", "").unwrap();
        let pid = directory.path().join("pid");
        let first_process = || Some(fs::read_to_string(&pid).ok()?.trim_end().to_owned());
        let is_up = || {
            let Some(first_process) = first_process() else {
                return false;
            };
            let mut state = within(&first_process, &["systemctl", "is-system-running"]);
            let state = state.output().unwrap().stdout;
            ["running\n", "degraded\n"]
                .iter()
                .any(|up| state == up.as_bytes())
        };
        wait_until_ready(&mut child, is_up).unwrap_or_else(|log| panic!("no machine came up: {log}"));
        Self {
            child,
            first_process: first_process().unwrap(),
            directory,
        }
    }

    /// A command within the machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        within(&self.first_process, arguments)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and gives back its standard output without the last newline.
    #[track_caller]
    pub fn run_well(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}{complaint}");
        said.trim_end().to_owned()
    }

    /// A path within the machine, as it is called outside.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.first_process))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        guarded::end(&mut self.child);
        // The control groups outlive what was in them, and take a moment to be empty.
        let group = self.directory.path().file_name().unwrap();
        for hierarchy in ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd"] {
            let group = Path::new(hierarchy).join(group);
            for _ in 0..200 {
                let mut find = Command::new("find");
                find.arg(&group)
                    .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]);
                let _ = find.stdout(Stdio::null()).stderr(Stdio::null()).status();
                if !group.exists() {
                    break;
                }
                pause(Duration::from_millis(20));
            }
        }
    }
}

fn within(first_process: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args([
        "--target",
        first_process,
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--cgroup",
    ]);
    command
        .args(["--root", "--wd", "--"])
        .args(arguments)
        .stdin(Stdio::null());
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8");
    command
}
