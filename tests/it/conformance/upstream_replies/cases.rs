//! What an upstream may send, and what is to come of it.

use std::time::Duration;

use crate::common::upstream::{ENVIRONMENT, Then};

/// What must never be anybody's answer.
const SMUGGLED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"id\":\"env_smuggled\"}";

pub struct Case {
    pub name: &'static str,
    pub then: Then,
    /// The status of the answer.
    pub status: u16,
    /// Whether the connection may be used again.
    pub is_reusable: bool,
}

fn refused(name: &'static str, reply: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        then: Then::Reply(reply.into()),
        status: 502,
        is_reusable: false,
    }
}

fn late(name: &'static str, then: Then) -> Case {
    Case {
        name,
        then,
        status: 504,
        is_reusable: false,
    }
}

fn taken(name: &'static str, reply: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        then: Then::Reply(reply.into()),
        status: 200,
        is_reusable: true,
    }
}

fn taken_once(name: &'static str, reply: impl Into<Vec<u8>>) -> Case {
    Case {
        is_reusable: false,
        ..taken(name, reply)
    }
}

fn closed_after(case: Case) -> Case {
    let Then::Reply(bytes) = case.then else {
        return case;
    };
    Case {
        then: Then::ReplyAndClose(bytes),
        ..case
    }
}

/// A reply with these fields, framed by its length.
fn with(fields: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{fields}\r\n{ENVIRONMENT}",
        ENVIRONMENT.len()
    )
}

/// A reply with this status line.
fn begun(line: &str) -> String {
    format!(
        "{line}\r\ncontent-length: {}\r\n\r\n{ENVIRONMENT}",
        ENVIRONMENT.len()
    )
}

/// A reply whose only framing are these fields.
fn framed(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

/// A reply in chunks.
fn chunked(body: &str) -> String {
    framed("transfer-encoding: chunked\r\n", body)
}

/// An environment in one chunk, whose size is followed by `extension`, and which is followed by `rest`.
fn one_chunk(extension: &str, rest: &str) -> String {
    chunked(&format!(
        "{:x}{extension}\r\n{ENVIRONMENT}\r\n{rest}",
        ENVIRONMENT.len()
    ))
}

/// Section 2.2: how a message is parsed.
pub fn messages() -> Vec<Case> {
    let length = ENVIRONMENT.len();
    vec![
        refused("blanks before the status line", begun("  HTTP/1.1 200 OK")),
        refused("a control character in the reason", begun("HTTP/1.1 200 O\x01K")),
        refused("a status of two digits", begun("HTTP/1.1 20 OK")),
        refused("a status of four digits", begun("HTTP/1.1 2000 OK")),
        refused("a status below 100", begun("HTTP/1.1 099 OK")),
        refused("no status", begun("HTTP/1.1 OK")),
        refused("HTTP/1.2", begun("HTTP/1.2 200 OK")),
        refused("HTTP/2", begun("HTTP/2 200 OK")),
        refused("lower case", begun("http/1.1 200 OK")),
        refused("another protocol", begun("ICY 200 OK")),
        refused("HTTP/0.9", ENVIRONMENT),
        refused("TLS", "\x16\x03\x01\x00\x01\x01"),
        taken("no reason", begun("HTTP/1.1 200")),
        taken("an empty reason", begun("HTTP/1.1 200 ")),
        taken(
            "line feeds alone",
            format!("HTTP/1.1 200 OK\ncontent-length: {length}\n\n{ENVIRONMENT}"),
        ),
        taken_once("HTTP/1.0", begun("HTTP/1.0 200 OK")),
    ]
}

/// Section 5: fields.
pub fn fields() -> Vec<Case> {
    vec![
        refused("a folded field", with("a: b\r\n c\r\n")),
        refused("a field folded by a tab", with("a: b\r\n\tc\r\n")),
        refused(
            "a folded first field",
            "HTTP/1.1 200 OK\r\n a: b\r\ncontent-length: 2\r\n\r\n{}",
        ),
        refused("NUL in a value", with("a: b\0c\r\n")),
        refused("a control character in a value", with("a: b\x01c\r\n")),
        refused("DEL in a value", with("a: b\x7fc\r\n")),
        refused("a bare carriage return in a value", with("a: b\rc: d\r\n")),
        refused("a control character in a name", with("a\x01b: c\r\n")),
        refused("a blank before the colon", with("a : b\r\n")),
        refused("a field without a colon", with("a\r\n")),
        refused("a field without a name", with(": b\r\n")),
        refused("a header that ends within a name", "HTTP/1.1 200 OK\r\nconten"),
        refused("too many fields", with(&"a: b\r\n".repeat(20_000))),
        refused(
            "a field without an end",
            with(&format!("a: {}\r\n", "a".repeat(2 << 20))),
        ),
        taken("a high byte in a value", with("a: \u{e9}\r\n")),
        taken(
            "fields that go nowhere",
            with("set-cookie: a=b\r\nx-evil: env_smuggled\r\n"),
        ),
    ]
    .into_iter()
    .map(|case| match case.name {
        "a header that ends within a name" => closed_after(case),
        _ => case,
    })
    .collect()
}

/// Section 6: where the body ends.
pub fn bodies() -> Vec<Case> {
    let length = ENVIRONMENT.len();
    let lengths =
        |name, value: &str| refused(name, framed(&format!("content-length: {value}\r\n"), ENVIRONMENT));
    let coded = |name, value: &str| {
        let body = format!("{length:x}\r\n{ENVIRONMENT}\r\n0\r\n\r\n");
        refused(name, framed(&format!("transfer-encoding: {value}\r\n"), &body))
    };
    vec![
        refused("two lengths", with("content-length: 2\r\n")),
        lengths("a list of lengths", &format!("{length}, 2")),
        lengths("a length with a sign", &format!("+{length}")),
        lengths("a negative length", "-1"),
        lengths("a length in hexadecimal", "0x10"),
        lengths("no length", ""),
        lengths("a length with a blank", "1 0"),
        lengths("a length over 64 bits", "18446744073709551617"),
        lengths("a length over the limit", "4000000000"),
        taken(
            "the same length twice",
            with(&format!("content-length: {length}\r\n")),
        ),
        refused(
            "a length and chunks",
            framed(
                &format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
                &format!("{length:x}\r\n{ENVIRONMENT}\r\n0\r\n\r\n"),
            ),
        ),
        refused(
            "chunks and a length",
            framed(
                &format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
                &format!("{length:x}\r\n{ENVIRONMENT}\r\n0\r\n\r\n"),
            ),
        ),
        coded("gzip and chunks", "gzip, chunked"),
        coded("chunks twice", "chunked, chunked"),
        coded("chunks on two lines", "chunked\r\ntransfer-encoding: chunked"),
        coded("chunks not last", "chunked, gzip"),
        coded("an unknown coding", "xchunked"),
        coded("a coding with a quote", "\"chunked\""),
        coded("no coding", ""),
        refused(
            "chunks in HTTP/1.0",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ),
        refused(
            "204 with a body",
            "HTTP/1.1 204 No Content\r\ncontent-length: 21\r\n\r\n{\"id\":\"env_smuggled\"}",
        ),
        refused(
            "304 with a body",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 21\r\n\r\n{\"id\":\"env_smuggled\"}",
        ),
        refused(
            "204 in chunks",
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        ),
        refused(
            "204 and a second reply",
            format!("HTTP/1.1 204 No Content\r\n\r\n{SMUGGLED}"),
        ),
        taken_once("a second reply after a length", with("") + SMUGGLED),
        taken_once(
            "a second reply after chunks",
            one_chunk("", "0\r\n\r\n") + SMUGGLED,
        ),
        taken_once("a line after the body", with("") + "\r\n\r\n"),
        closed_after(refused(
            "a length that is not reached",
            framed("content-length: 5000\r\n", ENVIRONMENT),
        )),
        closed_after(taken_once(
            "a body up to the end of the connection",
            framed("", ENVIRONMENT),
        )),
        closed_after(refused("half of such a body", framed("", &ENVIRONMENT[..40]))),
        closed_after(refused(
            "a reply split by a line break in a field",
            framed("location: /\r\n\r\n", SMUGGLED),
        )),
    ]
}

/// Section 7: chunks.
pub fn chunks() -> Vec<Case> {
    let end = "0\r\n\r\n";
    vec![
        taken("chunks", one_chunk("", end)),
        taken("a chunk extension", one_chunk(";a=\"b\"", end)),
        taken("trailers", one_chunk("", "0\r\na: b\r\n\r\n")),
        refused("a line feed in a chunk extension", one_chunk(";a\nb", end)),
        refused(
            "a chunk extension without an end",
            one_chunk(&format!(";{}", "a".repeat(1 << 20)), end),
        ),
        refused("a chunk size that is none", chunked("zz\r\n{}\r\n0\r\n\r\n")),
        refused("a chunk size with a sign", chunked("+2\r\n{}\r\n0\r\n\r\n")),
        refused("a negative chunk size", chunked("-2\r\n{}\r\n0\r\n\r\n")),
        refused("a chunk size with a prefix", chunked("0x2\r\n{}\r\n0\r\n\r\n")),
        refused(
            "a chunk size with a blank in it",
            chunked("0 2\r\n{}\r\n0\r\n\r\n"),
        ),
        refused("no chunk size", chunked("\r\n{}\r\n0\r\n\r\n")),
        refused(
            "a chunk size over 64 bits",
            chunked("10000000000000002\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "a chunk that is longer than its size",
            chunked("1\r\n{}\r\n0\r\n\r\n"),
        ),
        refused(
            "a chunk size before a line feed alone",
            chunked("2\n{}\r\n0\r\n\r\n"),
        ),
        refused("trailers that are none", one_chunk("", "0\r\na\r\n\r\n")),
        refused(
            "trailers without an end",
            one_chunk("", &format!("0\r\n{}", "a: b\r\n".repeat(50_000))),
        ),
        closed_after(refused("chunks without the last", one_chunk("", ""))),
        closed_after(refused("half a chunk", chunked("fff\r\n{\"id\":"))),
    ]
}

/// RFC 9110 §15.2: what comes before the final answer.
pub fn interim() -> Vec<Case> {
    let one = "HTTP/1.1 103 Early Hints\r\nlink: <env_smuggled>\r\n\r\n";
    vec![
        taken(
            "interim answers",
            format!("HTTP/1.1 100 Continue\r\n\r\n{one}{}", with("")),
        ),
        taken(
            "an unknown interim answer",
            format!("HTTP/1.1 199 Odd\r\n\r\n{}", with("")),
        ),
        refused(
            "another protocol",
            format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n{SMUGGLED}"),
        ),
        refused("interim answers without an end", one.repeat(40_000)),
        late(
            "slow interim answers",
            Then::Spread(Duration::from_secs(5), one.repeat(10).into_bytes()),
        ),
        refused(
            "an interim answer that is malformed",
            format!("HTTP/1.1 100 Continue\r\na b\r\n\r\n{}", with("")),
        ),
    ]
}
