//! Cases of a table: what is sent, and what has to become of it, of the connection, and of what follows on it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::common::client::Response;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};

/// One case. In its text each character is a byte, `{path}` is an environment that nobody else asks for,
/// `{auth}` a line with a good key.
pub struct Case {
    pub name: &'static str,
    text: String,
    outcome: Outcome,
}

/// The name of a section, and its table.
pub type Section = (&'static str, fn() -> Vec<Case>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered, and so is the request that follows on its connection.
    Answered(u16),
    /// It is answered, and its connection closes.
    Last(u16),
    /// It is turned away in the envelope, counted, and its connection closes. The upstream sees nothing of it.
    Refused(u16),
    /// The client left in the middle of it, and there is nothing to be said.
    Dropped,
}

use Outcome::{Answered, Dropped, Last, Refused};

/// A case that is [`Answered`].
pub fn answered(name: &'static str, status: u16, text: impl Into<String>) -> Case {
    let (text, outcome) = (text.into(), Answered(status));
    Case { name, text, outcome }
}

/// A case that is the [`Last`] of its connection.
pub fn last(name: &'static str, status: u16, text: impl Into<String>) -> Case {
    let (text, outcome) = (text.into(), Last(status));
    Case { name, text, outcome }
}

/// A case that is [`Refused`].
pub fn refused(name: &'static str, status: u16, text: impl Into<String>) -> Case {
    let (text, outcome) = (text.into(), Refused(status));
    Case { name, text, outcome }
}

/// A case that is [`Dropped`].
pub fn dropped(name: &'static str, text: impl Into<String>) -> Case {
    let (text, outcome) = (text.into(), Dropped);
    Case { name, text, outcome }
}

/// The head of a GET with these lines in it.
pub fn get(lines: &str) -> String {
    format!("GET {{path}} HTTP/1.1\r\nhost: a\r\n{{auth}}{lines}\r\n")
}

/// An update with these lines in its head, and this after it.
pub fn post(lines: &str, body: &str) -> String {
    format!("POST {{path}} HTTP/1.1\r\nhost: a\r\n{{auth}}{lines}\r\n{body}")
}

/// An update whose body comes in these chunks.
pub fn chunked(body: &str) -> String {
    post("transfer-encoding: chunked\r\n", body)
}

/// A gateway before an upstream that records.
pub struct Probe {
    pub envgate: Envgate,
    pub upstream: Upstream,
}

/// What all cases of some table came to.
#[derive(Default)]
pub struct Summary {
    pub cases: usize,
    /// How many were refused with which status.
    pub refused: BTreeMap<u16, usize>,
}

impl Probe {
    pub fn start() -> Self {
        Self::with(|setup| setup)
    }

    pub fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::start(|_, seen| {
            let path = seen.line.split(' ').nth(1).unwrap_or_default();
            let id = path.split('/').nth(3).unwrap_or("env_1");
            let body = ENVIRONMENT.replace("\"env_1\"", &format!("\"{id}\""));
            Then::respond("200 OK", &[("content-type", "application/json")], &body)
        });
        let envgate = change(Setup::new().upstream(upstream.address)).start();
        Self { envgate, upstream }
    }

    /// The bytes of a text, with a path that ends with `id`.
    pub fn bytes(&self, text: &str, id: &str) -> Vec<u8> {
        let auth = format!("authorization: Bearer {}\r\n", self.envgate.key);
        let text = text
            .replace("{path}", &format!("/v1/environments/{id}"))
            .replace("{auth}", &auth);
        text.chars()
            .map(|byte| u8::try_from(u32::from(byte)).unwrap())
            .collect()
    }

    /// Sends these bytes, in pieces of so many, and reads all that comes back until the connection closes.
    pub fn send(&self, bytes: &[u8], piece_bytes: usize) -> Vec<Response> {
        let mut stream = TcpStream::connect(self.envgate.gateway).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in bytes.chunks(piece_bytes) {
            // The other side may have refused it, and gone.
            if stream.write_all(piece).is_err() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Write);
        let mut received = Vec::new();
        stream
            .read_to_end(&mut received)
            .expect("the connection does not hang, and is not reset");
        let has_no_body = bytes.windows(5).any(|word| word == b"HEAD ");
        responses(&received, has_no_body)
    }

    /// Runs all cases, each on connections of its own: at once, in small pieces, and byte by byte.
    pub fn run(&self, cases: &[Case]) -> Summary {
        let mut summary = Summary::default();
        for (number, case) in cases.iter().enumerate() {
            summary.cases += 1;
            if let Refused(status) = case.outcome {
                *summary.refused.entry(status).or_default() += 1;
            }
            for (way, piece_bytes) in [("whole", usize::MAX), ("pieces", 7), ("bytes", 1)] {
                self.run_once(case, &format!("{number}_{way}"), piece_bytes);
            }
        }
        self.expect_counted(&summary);
        summary
    }

    fn run_once(&self, case: &Case, id: &str, piece_bytes: usize) {
        let name = format!("{} ({id})", case.name);
        let next = "GET {path} HTTP/1.1\r\nhost: a\r\n{auth}connection: close\r\n\r\n";
        let next = self.bytes(next, &format!("env_next_{id}"));
        let mut bytes = self.bytes(&case.text, &format!("env_{id}"));
        if case.outcome != Dropped {
            bytes.extend(next);
        }
        let before = self.upstream.seen().len();
        let responses = self.send(&bytes, piece_bytes);
        let statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
        let expected = match case.outcome {
            Answered(status) => vec![status, 200],
            Last(status) | Refused(status) => vec![status],
            Dropped => Vec::new(),
        };
        assert_eq!(statuses, expected, "{name}");
        // Whatever is not answered 200 is answered here.
        let lines: Vec<_> = self.upstream.seen()[before..]
            .iter()
            .map(|seen| seen.line.clone())
            .collect();
        let asked = expected.iter().filter(|status| **status == 200).count();
        assert_eq!(lines.len(), asked, "{name}: {lines:?}");
        let is_next = |line: &String| line.contains("env_next_");
        let saw_next = matches!(case.outcome, Answered(_));
        assert_eq!(lines.last().is_some_and(is_next), saw_next, "{name}: {lines:?}");
        if let (Refused(status), [response]) = (case.outcome, &responses[..]) {
            assert_eq!(response.header("connection"), Some("close"), "{name}");
            if !response.body.is_empty() {
                let error_type = match status {
                    500.. => "api_error",
                    _ => "invalid_request",
                };
                response.expect_error(status, error_type);
            }
        }
    }

    /// Every refusal is counted, and nothing else as one.
    fn expect_counted(&self, summary: &Summary) {
        let (mut refused, mut too_large) = (BTreeMap::<u16, u32>::new(), 0);
        for (status, count) in &summary.refused {
            let count = 3 * u32::try_from(*count).unwrap();
            *refused.entry(status / 100).or_default() += count;
            too_large += if *status == 431 { count } else { 0 };
        }
        for class in [4, 5] {
            // What is refused in a body is known to be an update.
            let metric = |kind, operation| {
                let name = "envgate_requests_total";
                format!(r#"{name}{{error="{kind}",operation="{operation}",status="{class}xx"}}"#)
            };
            let count = |name: String| self.envgate.metric(&name);
            let expected = f64::from(refused.get(&class).copied().unwrap_or_default());
            eventually("every refusal is counted", || {
                // A head that is too large is a kind of its own.
                let sizes = count(metric("header_too_large", "none"));
                let malformed = count(metric("malformed", "none")) + count(metric("malformed", "update"));
                assert!(sizes <= f64::from(too_large) && malformed + sizes <= expected);
                malformed + sizes >= expected
            });
        }
    }
}

/// All responses in these bytes, interim ones passed over.
fn responses(mut bytes: &[u8], has_no_body: bool) -> Vec<Response> {
    let mut responses: Vec<Response> = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, rest) = bytes.split_at(end.expect("a whole head") + 4);
        let head = std::str::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap();
        assert!(status.starts_with("HTTP/1.1 "), "{status}");
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines.filter_map(|line| line.split_once(": "));
        let headers: Vec<_> = fields
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
        let is_first = responses.is_empty();
        let (body, rest) = rest.split_at(if has_no_body && is_first { 0 } else { length });
        bytes = rest;
        if status >= 200 {
            responses.push(Response {
                status,
                headers,
                body: body.to_vec(),
            });
        }
    }
    responses
}
