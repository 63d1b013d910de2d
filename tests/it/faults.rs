//! Every fault of the upstream against every operation: what the client is told, and how often the upstream was asked.
//!
//! `cargo nextest run --test faults --no-capture` prints the table.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::common::client::Response;
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{ENVIRONMENT, Seen, Then, Upstream};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Create,
    List,
    Retrieve,
    Update,
    Archive,
    Delete,
}

use Operation::{Archive, Create, Delete, List, Retrieve, Update};

const OPERATIONS: [Operation; 6] = [Create, List, Retrieve, Update, Archive, Delete];

impl Operation {
    fn send(self, envgate: &Envgate) -> Response {
        let (method, path, body) = match self {
            Create => ("POST", "/v1/environments", Some(r#"{"name":"n"}"#)),
            List => ("GET", "/v1/environments", None),
            Retrieve => ("GET", "/v1/environments/env_1", None),
            Update => ("POST", "/v1/environments/env_1", Some(r#"{"name":"n"}"#)),
            Archive => ("POST", "/v1/environments/env_1/archive", None),
            Delete => ("DELETE", "/v1/environments/env_1", None),
        };
        let request = envgate.request(method, path);
        match body {
            Some(body) => request.body(body).send(),
            None => request.send(),
        }
    }

    const fn is_write(self) -> bool {
        !matches!(self, List | Retrieve)
    }
}

/// The connection that a request goes up on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Fresh,
    /// It has carried a request before.
    Reused,
}

use Connection::{Fresh, Reused};

/// One fault: what the upstream does with every request that meets it, and what is to come of it.
struct Fault {
    name: &'static str,
    /// None where nobody listens.
    then: Option<fn(&Seen) -> Then>,
    connections: &'static [Connection],
    /// The status, whatever the operation.
    status: u16,
    /// `x-should-retry`, by operation.
    should_retry: fn(Operation) -> Option<&'static str>,
    retry_after: Option<&'static str>,
    /// How many requests the upstream is to see.
    seen: fn(Operation, Connection) -> usize,
}

const fn never_after_a_write(operation: Operation) -> Option<&'static str> {
    if operation.is_write() { Some("false") } else { None }
}

/// One request, and a read a second one where the connection was reused and not a byte of an answer came.
const fn a_read_twice_if_reused(operation: Operation, connection: Connection) -> usize {
    if operation.is_write() || matches!(connection, Fresh) {
        1
    } else {
        2
    }
}

/// What most faults have in common: the reply is no good, and nobody knows what became of a write.
const BROKEN: Fault = Fault {
    name: "",
    then: None,
    connections: &[Fresh, Reused],
    status: 502,
    should_retry: never_after_a_write,
    retry_after: None,
    seen: |_, _| 1,
};
const LATE: Fault = Fault {
    status: 504,
    ..BROKEN
};
/// What the upstream says goes down as it came.
const PASSED_ON: Fault = Fault {
    should_retry: |_| None,
    ..BROKEN
};
const GOOD: Fault = Fault {
    status: 200,
    ..PASSED_ON
};

fn faults() -> Vec<Fault> {
    vec![
        Fault {
            name: "refused",
            connections: &[Fresh],
            status: 503,
            should_retry: |_| Some("true"),
            retry_after: Some("1"),
            seen: |_, _| 0,
            ..BROKEN
        },
        Fault {
            name: "closed while idle",
            then: Some(good),
            connections: &[Reused],
            ..GOOD
        },
        Fault {
            name: "reset before the header",
            then: Some(|_| Then::Reset),
            seen: a_read_twice_if_reused,
            ..BROKEN
        },
        Fault {
            name: "closed before the header",
            then: Some(|_| Then::ReplyAndClose(Vec::new())),
            seen: a_read_twice_if_reused,
            ..BROKEN
        },
        Fault {
            name: "reset within the header",
            then: Some(|_| Then::ReplyAndReset(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec())),
            ..BROKEN
        },
        Fault {
            name: "reset after the header",
            then: Some(|request| Then::ReplyAndReset(head(body(request).len(), ""))),
            ..BROKEN
        },
        Fault {
            name: "half a body",
            then: Some(|request| Then::ReplyAndClose(reply(body(request).len(), "", &body(request)[..20]))),
            ..BROKEN
        },
        Fault {
            name: "hang",
            then: Some(|_| Then::Hang(Duration::from_secs(30))),
            ..LATE
        },
        Fault {
            name: "hang after the header",
            then: Some(|request| Then::Late(Duration::ZERO, head(body(request).len(), ""))),
            ..LATE
        },
        Fault {
            name: "slow drip",
            then: Some(|request| Then::Drip(reply(body(request).len(), "", body(request)))),
            ..LATE
        },
        Fault {
            name: "500",
            then: Some(|_| Then::respond("500 Oops", &[], "{}")),
            status: 500,
            ..BROKEN
        },
        Fault {
            name: "502",
            then: Some(|_| Then::respond("502 Bad Gateway", &[], "<html>")),
            ..BROKEN
        },
        Fault {
            name: "503",
            then: Some(|_| Then::respond("503 Unavailable", &[("retry-after", "7")], "")),
            status: 503,
            retry_after: Some("7"),
            ..PASSED_ON
        },
        Fault {
            name: "504",
            then: Some(|_| Then::respond("504 Gateway Timeout", &[], "")),
            ..LATE
        },
        Fault {
            name: "529",
            then: Some(|_| {
                Then::respond(
                    "529 Overloaded",
                    &[("retry-after", "7"), ("x-should-retry", "true")],
                    "",
                )
            }),
            status: 529,
            should_retry: |_| Some("true"),
            retry_after: Some("7"),
            ..BROKEN
        },
        Fault {
            name: "409",
            then: Some(|_| Then::respond("409 Conflict", &[], "")),
            status: 409,
            should_retry: |operation| matches!(operation, Delete).then_some("false"),
            ..BROKEN
        },
        Fault {
            name: "garbage for HTTP",
            then: Some(|_| Then::ReplyAndClose(b"\x16\x03\x01garbage\r\n\r\n".to_vec())),
            ..BROKEN
        },
        Fault {
            name: "garbage for JSON",
            then: Some(|_| Then::respond("200 OK", &[], "<html>")),
            ..BROKEN
        },
        Fault {
            name: "length too short",
            then: Some(|request| Then::Reply(reply(body(request).len() - 5, "", body(request)))),
            ..BROKEN
        },
        Fault {
            name: "length too long",
            then: Some(|request| Then::ReplyAndClose(reply(body(request).len() + 5, "", body(request)))),
            ..BROKEN
        },
        Fault {
            name: "two lengths",
            then: Some(|request| {
                Then::Reply(reply(body(request).len(), "content-length: 2\r\n", body(request)))
            }),
            ..BROKEN
        },
        Fault {
            name: "wrong content type",
            then: Some(|request| {
                Then::Reply(reply(
                    body(request).len(),
                    "content-type: text/html\r\n",
                    body(request),
                ))
            }),
            ..GOOD
        },
        Fault {
            name: "gzip, identity was asked",
            then: Some(|request| {
                Then::Reply(reply(
                    body(request).len(),
                    "content-encoding: gzip\r\n",
                    body(request),
                ))
            }),
            ..BROKEN
        },
    ]
}

/// What the upstream says to a request where all is well.
fn body(request: &Seen) -> &'static str {
    match request.line.split(' ').collect::<Vec<_>>()[..] {
        ["DELETE", ..] => r#"{"id":"env_1","type":"environment_deleted"}"#,
        ["GET", "/v1/environments", _] => r#"{"data":[],"next_page":null}"#,
        _ => ENVIRONMENT,
    }
}

fn head(length: usize, fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{fields}\r\n").into_bytes()
}

fn reply(length: usize, fields: &str, body: &str) -> Vec<u8> {
    [&head(length, fields), body.as_bytes()].concat()
}

fn good(request: &Seen) -> Then {
    Then::Reply(reply(body(request).len(), "", body(request)))
}

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

/// A gateway of one worker, so that it is known which connection a request gets.
fn gateway(fault: &Fault) -> (Envgate, Option<Upstream>) {
    let upstream = fault
        .then
        .map(|then| Upstream::start(move |_, request| answer(then, request)));
    let address = match &upstream {
        Some(upstream) => upstream.address,
        None => nobody(),
    };
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

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
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
        Reused if fault.name == "closed while idle" => {
            prepare(WARM_UP_AND_DIE);
            crate::common::envgate::pause(Duration::from_millis(20));
        }
        Reused => prepare(WARM_UP),
        Fresh => {}
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
        "envgate_upstream_resent_total",
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
