//! The TypeScript SDK: one version of each generation that puts other bytes on the wire.

use std::path::PathBuf;
use std::process::Command;

use super::{assert_scenario_runs_through, installed, project};

/// Node of this project, else the machine's.
fn node() -> PathBuf {
    let own = project().join(".tools/bin/node");
    if own.exists() { own } else { "node".into() }
}

fn scenario(sdk: &str) -> Command {
    let mut command = Command::new(node());
    command
        .arg(project().join("tests/clients/typescript/scenario.cjs"))
        .env(
            "NODE_PATH",
            installed(&format!(".tools/typescript/{sdk}/node_modules")),
        );
    command
}

#[test]
fn typescript_0_137_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through(&mut scenario("0.137.0"), "sandbase", "0.137.0");
}

#[test]
fn typescript_1_2_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through(&mut scenario("1.2.0"), "sandbase", "1.2.0");
}

#[test]
fn typescript_1_14_0_manages_environments_through_the_facade() {
    assert_scenario_runs_through(&mut scenario("1.14.0"), "sandbase", "1.14.0");
}

#[test]
fn typescript_1_14_0_manages_environments_in_the_native_dialect() {
    assert_scenario_runs_through(&mut scenario("1.14.0"), "anthropic", "1.14.0");
}
