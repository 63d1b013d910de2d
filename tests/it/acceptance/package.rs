//! The Debian package: installed, used, removed and purged.

use std::path::{Path, PathBuf};
use std::process::Command;

use envgate_test_servers::machine::Machine;
use tempfile::TempDir;

use super::installed::{CONFIG, ask, make_key};
use crate::common::envgate::eventually;

/// Packs the binary that these tests run, and whatever else a package has. The build was cargo's, so it is there already.
fn pack(directory: &TempDir) -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let profile = Path::new(env!("CARGO_BIN_EXE_envgate")).parent().unwrap();
    let name = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let own = home.join(".tools/bin/cargo-deb");
    let mut pack = Command::new(if own.exists() { own } else { "cargo-deb".into() });
    pack.current_dir(home)
        .env("CARGO_TARGET_DIR", profile.parent().unwrap());
    pack.args([
        "--no-build",
        "--locked",
        "--fast",
        "--no-dbgsym",
        "--profile",
        name,
        "--output",
    ]);
    let package = directory.path().join("envgate.deb");
    let packed = pack
        .arg(&package)
        .output()
        .expect("cargo-deb is missing: `scripts/setup acceptance` builds it");
    assert!(
        packed.status.success(),
        "{}",
        String::from_utf8_lossy(&packed.stderr)
    );
    package
}

/// All files that have to do with envgate, without those of the system itself and of the journal.
fn files(machine: &Machine) -> String {
    machine.run_well(&[
        "find",
        "/",
        "-xdev",
        "-name",
        "*envgate*",
        "-not",
        "-path",
        "/var/log/journal/*",
    ])
}

#[test]
#[ignore = "needs root, cargo-deb and a Debian to boot: make acceptance"]
fn the_package_is_installed_serves_keeps_settings_when_removed_and_leaves_nothing_when_purged() {
    let machine = Machine::boot();
    let before = files(&machine);
    let directory = TempDir::new().unwrap();
    std::fs::copy(pack(&directory), machine.path("/root/package.deb")).unwrap();
    let dpkg = |arguments: &[&str]| machine.run_well(&[&["dpkg"], arguments].concat());

    dpkg(&["--install", "/root/package.deb"]);
    assert_eq!(
        machine.run_well(&["systemctl", "is-enabled", "envgate.service"]),
        "enabled"
    );
    let journal = || machine.run_well(&["journalctl", "--no-pager", "--unit", "envgate.service"]);
    let state = machine.run(&["systemctl", "is-active", "envgate.service"]);
    assert!(state.status.success(), "{}", journal());
    let key = make_key(&machine);
    eventually("the README's request is answered", || {
        ask(&machine, &key) == "200"
    });
    machine.run_well(&["envgate", "health", "--config", CONFIG]);
    let rights = machine.run_well(&[
        "stat",
        "-c",
        "%U:%G %a",
        "/etc/envgate",
        CONFIG,
        "/var/lib/envgate",
    ]);
    assert_eq!(rights, "root:envgate 750\nroot:envgate 640\nenvgate:envgate 700");

    // An upgrade, to the same: settings stay as the operator has them, the service is another process, keys live on.
    let settings = machine.path(CONFIG);
    let changed = std::fs::read_to_string(&settings).unwrap() + "\n# the operator's\n";
    std::fs::write(&settings, &changed).unwrap();
    let process = || {
        machine.run_well(&[
            "systemctl",
            "show",
            "--value",
            "--property",
            "MainPID",
            "envgate.service",
        ])
    };
    let old = process();
    dpkg(&["--install", "/root/package.deb"]);
    assert_eq!(std::fs::read_to_string(&settings).unwrap(), changed);
    assert_ne!(process(), old);
    eventually("the key is as good as before", || ask(&machine, &key) == "200");

    dpkg(&["--remove", "envgate"]);
    assert!(
        !machine.run(&["pgrep", "-x", "envgate"]).status.success(),
        "it has stopped"
    );
    assert!(settings.exists() && machine.path("/var/lib/envgate/envgate.db").exists());
    dpkg(&["--purge", "envgate"]);
    assert_eq!(files(&machine), before);
    assert!(!machine.run(&["getent", "passwd", "envgate"]).status.success());
    let listed = || {
        machine.run_well(&[
            "systemctl",
            "list-units",
            "--all",
            "--plain",
            "--no-legend",
            "envgate*",
        ])
    };
    // It forgets what nobody refers to any more, in its own time.
    eventually("systemd remembers nothing of it", || listed().is_empty());
}
