//! A server that ends with the process that started it, even where that was killed and drops nothing.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Runs a server beside a watcher that reads a pipe whose other end only the test process holds. `$0` is the signal
/// that ends the server, `$1` a directory that goes away with it, or nothing.
const SCRIPT: &str = r#"
exec 3<&0
directory=$1
shift
"$@" </dev/null 3<&- &
server=$!
{ read -r _ <&3; kill -s "$0" "$server"; } 2>/dev/null &
wait "$server"
[ -z "$directory" ] || rm -rf -- "$directory"
"#;

/// Starts a server; closing the child's standard input ends it by `signal`, and the child ends after it.
pub(crate) fn spawn(
    shell: &mut Command,
    server: &Command,
    signal: &str,
    directory: &str,
) -> io::Result<Child> {
    shell
        .args(["-c", SCRIPT, signal, directory])
        .arg(server.get_program())
        .args(server.get_args())
        // A Ctrl-C at the terminal is for the tests.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// Ends a server at once, as a crash would, and waits for its end.
pub(crate) fn end(child: &mut Child) {
    drop(child.stdin.take());
    let _ = child.wait();
}
