//! The faults, and what is to come of each.

use std::time::Duration;

use crate::common::client::Response;
use crate::common::envgate::Envgate;
use crate::common::upstream::{ENVIRONMENT, Seen, Then};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    List,
    Retrieve,
    Update,
    Archive,
    Delete,
}

use Operation::{Archive, Create, Delete, List, Retrieve, Update};

pub const OPERATIONS: [Operation; 6] = [Create, List, Retrieve, Update, Archive, Delete];

impl Operation {
    pub fn send(self, envgate: &Envgate) -> Response {
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

    pub const fn is_write(self) -> bool {
        !matches!(self, List | Retrieve)
    }
}

/// The connection that a request goes up on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Fresh,
    /// It has carried a request before.
    Reused,
}

use Connection::{Fresh, Reused};

/// One fault: what the upstream does with every request that meets it, and what is to come of it.
pub struct Fault {
    pub name: &'static str,
    /// None where nobody listens.
    pub then: Option<fn(&Seen) -> Then>,
    pub connections: &'static [Connection],
    /// The status, whatever the operation.
    pub status: u16,
    /// `x-should-retry`, by operation.
    pub should_retry: fn(Operation) -> Option<&'static str>,
    pub retry_after: Option<&'static str>,
    /// How many requests the upstream is to see.
    pub seen: fn(Operation, Connection) -> usize,
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

pub fn faults() -> Vec<Fault> {
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
            should_retry: |operation| matches!(operation, Create | Delete).then_some("false"),
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
            should_retry: |_| Some("false"),
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

pub fn reply(length: usize, fields: &str, body: &str) -> Vec<u8> {
    [&head(length, fields), body.as_bytes()].concat()
}

pub fn good(request: &Seen) -> Then {
    Then::Reply(reply(body(request).len(), "", body(request)))
}
