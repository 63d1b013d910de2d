//! `envgate top` shows what a running gateway does, and leaves a terminal as it was.

use serde_json::Value;

use super::text;
use crate::common::EXAMPLE;
use crate::common::envgate::{Envgate, Setup, eventually};

/// Runs a command on a terminal of 80 by 24, ends it once it has shown something, and prints what came after that, and
/// whether the terminal is as it was before.
const ON_A_TERMINAL: &str = r#"
import fcntl, os, pty, signal, struct, subprocess, sys, termios
how, command = sys.argv[1], sys.argv[2:]
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
before = termios.tcgetattr(theirs)
child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                         env={**os.environ, "TERM": "xterm"})
shown = b""
while b"TENANT" not in shown:
    shown += os.read(ours, 65536)
assert termios.tcgetattr(theirs) != before, "it is drawn on"
if how == "TERM":
    child.send_signal(signal.SIGTERM)
else:
    os.write(ours, how.encode())
while b"\x1b[?1049l" not in shown:
    shown += os.read(ours, 65536)
code = child.wait(30)
assert termios.tcgetattr(theirs) == before, "the terminal is as it was"
while b"\x1b[?25h" not in shown:
    shown += os.read(ours, 65536)
assert b"demo" in shown, shown
print("ended with", code)
"#;

fn on_a_terminal(envgate: &Envgate, how: &str) -> String {
    let admin = format!("http://{}", envgate.admin);
    let ended = std::process::Command::new("python3")
        .args([
            "-c",
            ON_A_TERMINAL,
            how,
            env!("CARGO_BIN_EXE_envgate"),
            "top",
            "--admin",
            &admin,
        ])
        .output()
        .unwrap();
    format!("{}{}", text(&ended.stdout), text(&ended.stderr))
}

#[test]
fn the_terminal_is_as_it_was_however_it_ends() {
    let envgate = Envgate::start();
    envgate.get(EXAMPLE);
    for how in ["TERM", "q", "\u{3}"] {
        let said = on_a_terminal(&envgate, how);
        assert_eq!(said, "ended with 0\n", "{how:?}");
    }
}

#[test]
fn once_prints_tables_without_an_escape_and_ends() {
    let envgate = Envgate::start();
    envgate.get(EXAMPLE);
    envgate.post(EXAMPLE, r#"{"nme":1}"#);
    let admin = format!("http://{}", envgate.admin);
    let shown = || envgate.run_well(&["top", "--once", "--admin", &admin]);
    eventually("both are counted", || shown().contains("schema_violation"));
    let shown = shown();
    for expected in ["TENANT", "demo", "BUDGET", "default", "SLOWEST", "retrieve"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let json = envgate.run_well(&["top", "--json", "--admin", &admin]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tenants"][0]["tenant"], "demo");
}

#[test]
fn without_a_gateway_or_a_terminal_it_fails_and_says_why() {
    let setup = Setup::new();
    let nobody = setup.run(&["top", "--once", "--admin", "http://127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(1));
    let said = text(&nobody.stderr);
    assert!(said.contains("no gateway answers at 127.0.0.1:1"), "{said}");
    let blind = setup.run(&["top", "--admin", "http://127.0.0.1:1"]);
    assert_eq!(blind.status.code(), Some(1));
    let said = text(&blind.stderr);
    assert!(said.contains("no terminal; envgate top --once"), "{said}");
    assert!(!text(&blind.stdout).contains('\u{1b}'));
}
