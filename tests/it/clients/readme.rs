//! What the README says to type, run as it stands there.

use std::process::Command;

use super::{installed, run, start};
use crate::common::envgate::Envgate;

fn readme() -> String {
    std::fs::read_to_string(super::project().join("README.md")).unwrap()
}

/// With the address and the key that `make run` would have printed.
fn filled_in(text: &str, envgate: &Envgate) -> String {
    let (address, key) = ("127.0.0.1:8080", "sk-eg-YOUR_KEY");
    assert!(text.contains(address) && text.contains(key), "{text}");
    text.replace(address, &envgate.gateway.to_string())
        .replace(key, &envgate.key)
}

#[test]
fn the_curl_of_the_readme_updates_the_example_environment() {
    let readme = readme();
    let lines = readme
        .lines()
        .skip_while(|line| !line.starts_with("    curl -X POST"));
    let curl: String = lines
        .take_while(|line| line.starts_with("    "))
        .map(|line| format!("{line}\n"))
        .collect();
    let envgate = start("sandbase");
    let script = filled_in(curl.trim_end(), &envgate) + " --silent --show-error --fail-with-body";
    let printed = run(Command::new("sh").args(["-c", &script]));
    let environment: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let packages = &environment["config"]["packages"]["pip"];
    assert_eq!(*packages, serde_json::json!(["pandas", "numpy", "scikit-learn"]));
}

#[test]
fn the_python_of_the_readme_updates_the_example_environment() {
    let readme = readme();
    let code = readme.split("```python\n").nth(1).expect("there is an example");
    let code = code.split("```").next().unwrap();
    let envgate = start("sandbase");
    let python = installed(".venv/py2.14.0/bin/python");
    let printed = run(Command::new(python).args(["-c", &filled_in(code, &envgate)]));
    assert!(printed.starts_with("20"), "a time was expected, not {printed:?}");
}
