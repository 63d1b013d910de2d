//! Official SDKs against the built binary, with the embedded environments service behind it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A gateway on a port and a store of its own.
struct Gateway {
    process: Child,
    base_url: String,
    key: String,
    _directory: TempDir,
}

impl Gateway {
    fn start(dialect: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let store = directory.path().join("envgate.db");
        let mut process = Command::new(env!("CARGO_BIN_EXE_envgate"))
            .arg("serve")
            .current_dir(directory.path())
            .env("ENVGATE_LISTEN__ADDRESS", "127.0.0.1:0")
            .env("ENVGATE_ADMIN__ADDRESS", "127.0.0.1:0")
            .env("ENVGATE_STORE__URL", format!("sqlite:{}", store.display()))
            .env("ENVGATE_CONTRACT__DIALECT", dialect)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (mut base_url, mut key) = (None, None);
        while base_url.is_none() || key.is_none() {
            let line = lines
                .next()
                .expect("standard output ended before the base URL and the key")
                .unwrap();
            base_url = base_url.or_else(|| word_from(&line, "http://"));
            key = key.or_else(|| word_from(&line, "sk-eg-"));
        }
        // Nobody may stop reading: a gateway that prints into a closed pipe would fail for that.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            base_url: base_url.unwrap().trim_end_matches('/').to_owned(),
            key: key.unwrap(),
            _directory: directory,
        }
    }

    /// Runs a script of `tests/clients/python` with an SDK and gives back what it printed.
    #[track_caller]
    fn run_python(&self, sdk: &str, script: &str, arguments: &[&str]) -> String {
        let output = Command::new(python(sdk))
            .arg(project().join("tests/clients/python").join(script))
            .args([&self.base_url, &self.key])
            .args(arguments)
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let faults = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} with {sdk}:\n{printed}{faults}");
        printed
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The part of a line that begins so and goes to the next character that is no part of a URL or a key.
fn word_from(line: &str, beginning: &str) -> Option<String> {
    let word = line.get(line.find(beginning)?..)?;
    let ends =
        |character: char| character.is_whitespace() || matches!(character, '"' | '\'' | '`' | ',' | ')');
    word.split(ends).next().map(str::to_owned)
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Python of a virtual environment that has this version of the SDK.
fn python(sdk: &str) -> PathBuf {
    let python = project().join(format!(".venv/py{sdk}/bin/python"));
    assert!(
        python.exists(),
        "{} is missing; `make test` installs it",
        python.display()
    );
    python
}

/// Does everything that `scenario.py` does, which says itself what it expects.
#[track_caller]
fn assert_scenario_runs_through(dialect: &str, sdk: &str) {
    let printed = Gateway::start(dialect).run_python(sdk, "scenario.py", &[dialect]);
    assert_eq!(
        printed.lines().last(),
        Some(format!("done with anthropic {sdk}").as_str())
    );
}

#[test]
fn python_1_17_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through("sandbase", "1.17.0");
}

#[test]
fn python_2_0_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through("sandbase", "2.0.0");
}

#[test]
fn python_2_12_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through("sandbase", "2.12.0");
}

#[test]
fn python_2_12_0_manages_environments_in_the_native_dialect() {
    assert_scenario_runs_through("anthropic", "2.12.0");
}

#[test]
fn the_example_of_the_facades_document_prints_when_the_environment_was_updated() {
    let gateway = Gateway::start("sandbase");
    for sdk in ["1.17.0", "2.0.0", "2.12.0"] {
        let printed = gateway.run_python(sdk, "document_example.py", &[]);
        assert!(printed.starts_with("20"), "a time was expected, not {printed:?}");
    }
}
