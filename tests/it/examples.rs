//! Every example in `config/` is served as it stands there, but for the addresses and the upstream.

use std::path::Path;

use crate::common::envgate::Setup;
use crate::common::upstream::{Then, Upstream};

/// The variables that an example takes its secrets from.
fn variables(example: &str) -> Vec<&str> {
    let settings = example.lines().filter(|line| !line.starts_with('#'));
    settings
        .filter_map(|line| line.split("env = \"").nth(1)?.split('"').next())
        .collect()
}

#[test]
fn every_example_starts_and_answers_a_tenant() {
    let upstream = Upstream::always(Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let example = std::fs::read_to_string(&path).unwrap();
        let mut setup = Setup::new().file(&example);
        for name in variables(&example) {
            setup = setup.set(name, &format!("sk-ant-{name}"));
        }
        if example.lines().any(|line| line.starts_with("url = \"https://")) {
            setup = setup.set("ENVGATE_UPSTREAM__URL", &format!("http://{}", upstream.address));
        }
        let checked = setup.run(&["check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{}: {said}", path.display());
        let envgate = setup.start();
        let listed = envgate.get("/v1/environments");
        assert_eq!(listed.status, 200, "{}: {}", path.display(), listed.text());
        count += 1;
    }
    assert!(count >= 3, "there are examples");
}
