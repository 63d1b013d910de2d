//! Every fault of the upstream against every operation: what the client is told, and how often the upstream was asked.
//!
//! `cargo nextest run --test it faults --no-capture` prints the table.

mod table;

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use self::table::{Connection, Fault, OPERATIONS, Operation, faults, good, reply};
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{ClosedPort, ENVIRONMENT, Seen, Then, Upstream};

/// Leaves a connection behind that can be reused.
const WARM_UP: &str = "/v1/environments/env_warm_up";
/// Leaves one behind that the upstream closes, without a word before.
const WARM_UP_AND_DIE: &str = "/v1/environments/env_warm_up_and_die";
/// Leaves none behind.
const COOL_DOWN: &str = "/v1/environments/env_cool_down";

fn answer(fault: fn(&Seen) -> Then, request: &Seen) -> Then {
    let path = request.line.split(' ').nth(1).unwrap();
    match path {
        WARM_UP => good(request),
        WARM_UP_AND_DIE => Then::ReplyAndClose(reply(ENVIRONMENT.len(), "", ENVIRONMENT)),
        COOL_DOWN => Then::ReplyAndClose(reply(ENVIRONMENT.len(), "connection: close\r\n", ENVIRONMENT)),
        _ => fault(request),
    }
}

/// What one operation met with.
#[derive(Debug, PartialEq, Eq)]
struct Cell {
    status: u16,
    should_retry: Option<String>,
    retry_after: Option<String>,
    seen: usize,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let should_retry = self.should_retry.as_deref().unwrap_or("–");
        write!(f, "{} {should_retry} {}", self.status, self.seen)
    }
}

static NOBODY: LazyLock<ClosedPort> = LazyLock::new(ClosedPort::new);

/// A gateway of one worker, so that it is known which connection a request gets.
fn gateway(fault: &Fault) -> (Envgate, Option<Upstream>) {
    let upstream = fault
        .then
        .map(|then| Upstream::start(move |_, request| answer(then, request)));
    let address = upstream
        .as_ref()
        .map_or(NOBODY.address(), |upstream| upstream.address);
    let timeout = if fault.name.starts_with("hang") || fault.name == "slow drip" {
        "400ms"
    } else {
        "20s"
    };
    let envgate = Setup::new()
        .upstream(address)
        .set("ENVGATE_SERVER__THREADS", "1")
        .set("ENVGATE_UPSTREAM__TIMEOUT", timeout)
        .set("ENVGATE_UPSTREAM__CIRCUIT_FAILURES", "0")
        .set("ENVGATE_CACHE__TTL", "off")
        .start();
    (envgate, upstream)
}

/// Sends one operation into the fault, on the connection that is asked for.
fn meet(
    fault: &Fault,
    operation: Operation,
    connection: Connection,
    envgate: &Envgate,
    upstream: Option<&Upstream>,
) -> Cell {
    let seen = || upstream.map_or(0, |upstream| upstream.seen().len());
    let prepare = |path| {
        let response = envgate.get(path);
        assert_eq!(
            response.status,
            200,
            "{}: before {operation:?}: {}",
            fault.name,
            response.text()
        );
        assert_eq!(
            response.json()["id"],
            "env_1",
            "nothing of an earlier reply is left"
        );
    };
    if upstream.is_some() {
        prepare(COOL_DOWN);
    }
    match connection {
        Connection::Reused if fault.name == "closed while idle" => {
            prepare(WARM_UP_AND_DIE);
            crate::common::envgate::pause(Duration::from_millis(20));
        }
        Connection::Reused => prepare(WARM_UP),
        Connection::Fresh => {}
    }
    let before = seen();
    let response = operation.send(envgate);
    if response.status != 200 {
        let body = response.json();
        assert_eq!(body["type"], "error", "{}: {operation:?}: {body}", fault.name);
        assert_eq!(body["request_id"].as_str(), response.header("request-id"));
    }
    Cell {
        status: response.status,
        should_retry: response.header("x-should-retry").map(str::to_owned),
        retry_after: response.header("retry-after").map(str::to_owned),
        seen: seen() - before,
    }
}

/// Runs all operations into one fault; gives back its rows of the table, and how each cell differs from what is right.
fn run(fault: &Fault) -> (String, Vec<String>) {
    let (envgate, upstream) = gateway(fault);
    let (mut rows, mut wrong, mut sent_again) = (String::new(), Vec::new(), 0);
    for connection in fault.connections {
        rows.push_str(&format!("| {} | {connection:?} |", fault.name));
        for operation in OPERATIONS {
            let expected = Cell {
                status: fault.status,
                should_retry: (fault.should_retry)(operation).map(str::to_owned),
                retry_after: fault.retry_after.map(str::to_owned),
                seen: (fault.seen)(operation, *connection),
            };
            let met = meet(fault, operation, *connection, &envgate, upstream.as_ref());
            rows.push_str(&format!(" {met} |"));
            sent_again += met.seen.saturating_sub(1);
            if operation.is_write() && met.seen > 1 {
                wrong.push(format!(
                    "{}, {connection:?}, {operation:?}: a write was sent twice",
                    fault.name
                ));
            }
            if met != expected {
                wrong.push(format!(
                    "{}, {connection:?}, {operation:?}: {met:?}, expected {expected:?}",
                    fault.name
                ));
            }
        }
        rows.push('\n');
    }
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
    envgate.expect_metric(
        "envgate_upstream_retries_total",
        f64::from(u32::try_from(sent_again).unwrap()),
    );
    (rows, wrong)
}

#[test]
fn every_fault_against_every_operation() {
    let faults = faults();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = faults.iter().map(|fault| scope.spawn(|| run(fault))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("Each cell: status, `x-should-retry`, requests that the upstream saw.\n");
    println!("| fault | connection | create | list | retrieve | update | archive | delete |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut wrong = Vec::new();
    for (rows, differences) in outcomes {
        print!("{rows}");
        wrong.extend(differences);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
