//! Official SDKs against the built binary, with the embedded environments service behind it.

mod python;
mod readme;
mod typescript;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::client::Request;
use crate::common::envgate::{Envgate, Setup, eventually};

fn start(dialect: &str) -> Envgate {
    Setup::new()
        .set("ENVGATE_CONTRACT__DIALECT", dialect)
        .file("[plans.limited]\nrequests_per_minute = 1\n")
        .start()
}

/// Runs a client to its end; it must say itself what it expects. Gives back what it printed.
#[track_caller]
fn run(client: &mut Command) -> String {
    let output = client.env("NO_PROXY", "127.0.0.1").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{client:?}:\n{printed}{faults}");
    printed
}

/// Does everything that a scenario of `tests/clients` does.
#[track_caller]
fn assert_scenario_runs_through(client: &mut Command, dialect: &str, sdk: &str) {
    let envgate = start(dialect);
    let reader = ["--operation", "list", "--operation", "retrieve"];
    let readers_key =
        envgate.run_well(&[&["keys", "create", "--tenant", "demo", "--quiet"][..], &reader].concat());
    envgate.run_well(&["tenants", "create", "limited", "--plan", "limited"]);
    let limited_key = envgate.run_well(&["keys", "create", "--tenant", "limited", "--quiet"]);
    for key in [&readers_key, &limited_key] {
        // A question that costs nothing, as it cannot be asked.
        let question =
            Request::new(envgate.gateway, "GET", "/v1/environments?limit=none").header("x-api-key", key);
        eventually("the gateway knows the key", || question.send().status == 400);
    }
    let url = format!("http://{}", envgate.gateway);
    let printed = run(client.args([&url, dialect, &envgate.key, &readers_key, &limited_key]));
    let last = format!("done with anthropic {sdk}");
    assert_eq!(printed.lines().last(), Some(last.as_str()));
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path in this project, which has to be there.
#[track_caller]
fn installed(path: &str) -> PathBuf {
    let path = project().join(path);
    assert!(
        path.exists(),
        "{} is missing: `scripts/setup test` installs it",
        path.display()
    );
    path
}
