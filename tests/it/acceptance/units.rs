//! The units, under a systemd that is the first process of a machine.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use envgate_test_servers::machine::Machine;

use super::installed::{CONFIG, ask, binary, curl, make_key};
use crate::common::envgate::eventually;

const UNITS: [&str; 3] = ["envgate.service", "envgate.socket", "envgate-admin.socket"];

/// A machine on which somebody has put the binary, the settings and the units where they belong.
fn machine() -> Machine {
    let machine = Machine::boot();
    let put = |from: &Path, to: &str| {
        fs::copy(from, machine.path(to)).unwrap();
    };
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    put(binary(), "/usr/bin/envgate");
    machine.run_well(&[
        "useradd",
        "--system",
        "--user-group",
        "--shell",
        "/usr/sbin/nologin",
        "envgate",
    ]);
    machine.run_well(&[
        "install",
        "-d",
        "-o",
        "root",
        "-g",
        "envgate",
        "-m",
        "0750",
        "/etc/envgate",
    ]);
    put(&deploy.join("envgate.toml"), CONFIG);
    for unit in UNITS {
        put(
            &deploy.join("systemd").join(unit),
            &format!("/etc/systemd/system/{unit}"),
        );
    }
    machine.run_well(&["systemctl", "daemon-reload"]);
    machine
}

fn property(machine: &Machine, name: &str) -> String {
    machine.run_well(&[
        "systemctl",
        "show",
        "--value",
        "--property",
        name,
        "envgate.service",
    ])
}

/// Starts the service, and shows what it says where it does not.
fn start(machine: &Machine, units: &[&str]) {
    let start = machine.run(&[&["systemctl", "start"], units].concat());
    assert!(start.status.success(), "{}", journal(machine));
}

fn journal(machine: &Machine) -> String {
    let output = machine.run(&[
        "journalctl",
        "--no-pager",
        "--output",
        "cat",
        "--unit",
        "envgate.service",
    ]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
#[ignore = "needs root and a Debian to boot: make acceptance"]
fn systemd_finds_no_fault_in_the_units_and_little_that_the_service_could_do_beyond_its_own() {
    let machine = machine();
    let paths = UNITS.map(|unit| format!("/etc/systemd/system/{unit}"));
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let verified = machine.run(&[&["systemd-analyze", "verify"], &paths[..]].concat());
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success(), "{said}");
    assert!(!said.contains("envgate"), "{said}");
    // In tenths: 2.0 at most.
    machine.run_well(&[
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=20",
        paths[0],
    ]);
}

#[test]
#[ignore = "needs root and a Debian to boot: make acceptance"]
fn the_service_is_ready_when_it_has_started_answers_reloads_and_stops_in_order() {
    let machine = machine();
    start(&machine, &["envgate.service"]);
    let key = make_key(&machine);
    eventually("the README's request is answered", || {
        ask(&machine, &key) == "200"
    });
    let log = journal(&machine);
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    // Its first 14 characters are no secret; the rest is printed at the first start, and stays there.
    let keys = log.split("sk-eg-").skip(1);
    let is_whole = |rest: &str| rest.chars().take_while(char::is_ascii_alphanumeric).count() > 8;
    assert!(!keys.into_iter().any(is_whole), "a key is in the journal: {log}");

    let settings = machine.path(CONFIG);
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(
        &settings,
        text + "\n[log]\nformat = \"text\"\n\n[contract]\nunknown_field = \"allow\"\n",
    )
    .unwrap();
    let process = property(&machine, "MainPID");
    machine.run_well(&["systemctl", "reload", "envgate.service"]);
    eventually("the settings hold", || {
        let metrics = machine.run_well(&["curl", "-sS", "http://127.0.0.1:9090/metrics"]);
        metrics.contains("envgate_reloads_total{outcome=\"applied\"} 1")
    });
    assert_eq!(property(&machine, "MainPID"), process);
    assert_eq!(ask(&machine, &key), "200");

    machine.run_well(&["systemctl", "stop", "envgate.service"]);
    assert_eq!(property(&machine, "Result"), "success");
    assert_eq!(property(&machine, "ExecMainStatus"), "0");
}

#[test]
#[ignore = "needs root and a Debian to boot: make acceptance"]
fn secrets_come_from_the_credentials_of_systemd_to_the_service_and_to_commands() {
    let machine = machine();
    let token = "0123456789abcdef0123456789abcdef";
    fs::create_dir_all(machine.path("/etc/credstore")).unwrap();
    fs::write(machine.path("/etc/credstore/envgate.admin-token"), token).unwrap();
    machine.run_well(&["chmod", "0600", "/etc/credstore/envgate.admin-token"]);
    let settings = machine.path(CONFIG);
    let text = fs::read_to_string(&settings).unwrap();
    let with_token = text.replace(
        "[admin]\n",
        "[admin]\ntoken = { credential = \"envgate.admin-token\" }\n",
    );
    fs::write(&settings, with_token).unwrap();
    start(&machine, &["envgate.service"]);
    let ask = |authorization: &str| {
        let curl = [
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            authorization,
        ];
        machine.run_well(&[&curl[..], &["http://127.0.0.1:9090/api/v1/tenants"]].concat())
    };
    assert_eq!(ask(&format!("Authorization: Bearer {token}")), "200");
    assert_eq!(ask("Authorization: Bearer another"), "401");
    // What a command needs to read the same settings.
    let check = ["envgate", "check", "--config", CONFIG];
    machine.run_well(&[&["env", "CREDENTIALS_DIRECTORY=/etc/credstore"], &check[..]].concat());
    assert!(!journal(&machine).contains(token));
}

#[test]
#[ignore = "needs root and a Debian to boot: make acceptance"]
fn restarts_lose_no_request_where_systemd_holds_the_sockets() {
    let machine = machine();
    start(
        &machine,
        &["envgate.socket", "envgate-admin.socket", "envgate.service"],
    );
    let key = make_key(&machine);
    eventually("the README's request is answered", || {
        ask(&machine, &key) == "200"
    });
    let words: Vec<_> = curl(&key).iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "until [ -e /tmp/enough ]; do {} || echo lost; done",
        words.join(" ")
    );
    let clients: Vec<_> = (0..2)
        .map(|_| {
            machine
                .command(&["sh", "-c", &script])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut processes = vec![property(&machine, "MainPID")];
    for _ in 0..3 {
        machine.run_well(&["systemctl", "restart", "envgate.service"]);
        assert_eq!(ask(&machine, &key), "200");
        let admin = [
            "curl",
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "http://127.0.0.1:9090/readyz",
        ];
        assert_eq!(machine.run_well(&admin), "200");
        processes.push(property(&machine, "MainPID"));
    }
    processes.dedup();
    assert_eq!(processes.len(), 4, "each time another process: {processes:?}");
    fs::write(machine.path("/tmp/enough"), "").unwrap();
    for client in clients {
        let told = String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap();
        let count = told.lines().count();
        assert!(count > 3, "there is some load");
        let lost: Vec<_> = told.lines().filter(|line| *line != "200").collect();
        assert!(lost.is_empty(), "of {count}: {lost:?}\n{}", journal(&machine));
    }
}

#[test]
#[ignore = "needs root and a Debian to boot: make acceptance"]
fn one_that_hangs_is_ended_by_the_watchdog_and_started_again() {
    let machine = machine();
    let directory = machine.path("/etc/systemd/system/envgate.service.d");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("hasty.conf"), "[Service]\nWatchdogSec=2s\n").unwrap();
    machine.run_well(&["systemctl", "daemon-reload"]);
    start(&machine, &["envgate.service"]);
    let key = make_key(&machine);
    let process = property(&machine, "MainPID");
    machine.run_well(&["kill", "-STOP", &process]);
    eventually("another has taken its place", || {
        property(&machine, "NRestarts") == "1" && property(&machine, "ActiveState") == "active"
    });
    let log = journal(&machine);
    assert!(log.contains("Watchdog timeout"), "{log}");
    eventually("it answers", || ask(&machine, &key) == "200");
}
