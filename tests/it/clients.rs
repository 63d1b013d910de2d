//! Official SDKs against the built binary, with the embedded environments service behind it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::envgate::{Envgate, Setup};

fn start(dialect: &str) -> Envgate {
    Setup::new().set("ENVGATE_CONTRACT__DIALECT", dialect).start()
}

/// Runs a script of `tests/clients/python` with an SDK and gives back what it printed.
#[track_caller]
fn run_python(envgate: &Envgate, sdk: &str, script: &str, arguments: &[&str]) -> String {
    let output = Command::new(python(sdk))
        .arg(project().join("tests/clients/python").join(script))
        .args([&format!("http://{}", envgate.gateway), &envgate.key])
        .args(arguments)
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} with {sdk}:\n{printed}{faults}");
    printed
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
    let printed = run_python(&start(dialect), sdk, "scenario.py", &[dialect]);
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
    let envgate = start("sandbase");
    for sdk in ["1.17.0", "2.0.0", "2.12.0"] {
        let printed = run_python(&envgate, sdk, "document_example.py", &[]);
        assert!(printed.starts_with("20"), "a time was expected, not {printed:?}");
    }
}
