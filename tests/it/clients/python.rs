//! The Python SDK: one version of each generation that puts other bytes on the wire.

use std::process::Command;

use super::{assert_scenario_runs_through, installed, project, run, start};

const VERSIONS: [&str; 3] = ["1.17.0", "2.0.0", "2.14.0"];

/// A script of `tests/clients/python`, with this version of the SDK.
fn python(sdk: &str, script: &str) -> Command {
    let mut command = Command::new(installed(&format!(".venv/py{sdk}/bin/python")));
    command.arg(project().join("tests/clients/python").join(script));
    command
}

#[test]
fn python_1_17_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through(&mut python("1.17.0", "scenario.py"), "sandbase", "1.17.0");
}

#[test]
fn python_2_0_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through(&mut python("2.0.0", "scenario.py"), "sandbase", "2.0.0");
}

#[test]
fn python_2_14_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through(&mut python("2.14.0", "scenario.py"), "sandbase", "2.14.0");
}

#[test]
fn python_2_14_0_manages_environments_in_the_native_dialect() {
    assert_scenario_runs_through(&mut python("2.14.0", "scenario.py"), "anthropic", "2.14.0");
}

#[test]
fn the_example_of_the_facades_document_prints_when_the_environment_was_updated() {
    let envgate = start("sandbase");
    for sdk in VERSIONS {
        let url = format!("http://{}", envgate.gateway);
        let printed = run(python(sdk, "document_example.py").args([&url, &envgate.key]));
        assert!(printed.starts_with("20"), "a time was expected, not {printed:?}");
    }
}
