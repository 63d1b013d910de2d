//! The binary of these tests, as it comes to a machine, and what the README says to try there.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use envgate_test_servers::machine::Machine;

use crate::common::EXAMPLE;

pub const CONFIG: &str = "/etc/envgate/envgate.toml";

/// The binary without what a debugger wants: a tenth of the size.
pub fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let stripped = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("envgate");
        let new = stripped.with_extension(std::process::id().to_string());
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(&new).arg(env!("CARGO_BIN_EXE_envgate"));
        assert!(strip.status().expect("binutils has `strip`").success());
        // Whole for whoever else is copying it.
        std::fs::rename(new, &stripped).unwrap();
        stripped
    })
}

/// The README's request: an update of the example environment, with a key. Gives back the status.
pub fn curl(key: &str) -> Vec<String> {
    let body = r#"{"config": {"type": "cloud", "packages": {"type": "packages", "pip": ["pandas", "numpy", "scikit-learn"]}}}"#;
    let curl = [
        "curl",
        "-sS",
        "--max-time",
        "30",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}\n",
        "-X",
        "POST",
    ];
    let mut words: Vec<_> = curl.map(str::to_owned).to_vec();
    words.push(format!("http://127.0.0.1:8080{EXAMPLE}"));
    words.extend(["-H".to_owned(), format!("Authorization: Bearer {key}")]);
    words.extend(["-H", "Content-Type: application/json", "-d", body].map(str::to_owned));
    words
}

/// Asks on a machine as the README says. The status of the answer.
pub fn ask(machine: &Machine, key: &str) -> String {
    let words = curl(key);
    machine.run_well(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A key of the demo tenant, made as the operator of the service would.
pub fn make_key(machine: &Machine) -> String {
    let user = [
        "setpriv",
        "--reuid",
        "envgate",
        "--regid",
        "envgate",
        "--init-groups",
    ];
    let make = [
        "envgate", "keys", "create", "--tenant", "demo", "--quiet", "--config", CONFIG,
    ];
    machine.run_well(&[&user[..], &make[..]].concat())
}
