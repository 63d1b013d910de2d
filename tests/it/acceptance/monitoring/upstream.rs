//! The environments service behind a relay that has good days and bad ones.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::common::client::{Request, Response};
use crate::common::envgate::{OPERATOR_KEY, Setup};
use crate::common::upstream::{Seen, Then, Upstream};

/// The key of the second organisation.
pub const RESEARCH_KEY: &str = "sk-ant-research-secret";

/// How the upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers, mostly, and has new fields now and then.
    Good,
    /// It refuses every second request and says when to come back.
    Short,
    /// It turns the second organisation's key away.
    Strict,
    /// It breaks every connection.
    Broken,
}

pub struct MoodyUpstream {
    relay: Upstream,
    mood: Arc<Mutex<Mood>>,
    service: Child,
    _setup: Setup,
}

impl MoodyUpstream {
    pub fn start() -> Self {
        let setup = Setup::new().set("ENVGATE_UPSTREAM__CREDENTIAL", OPERATOR_KEY);
        let mut command = setup.command(&["upstream", "--address", "127.0.0.1:0"]);
        let mut service = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(service.stdout.take().unwrap()).lines();
        let line = said.next().unwrap().unwrap();
        let address: SocketAddr = line.rsplit("://").next().unwrap().parse().unwrap();
        let mood = Arc::new(Mutex::new(Mood::Good));
        let of_relay = Arc::clone(&mood);
        let relay = Upstream::start(move |number, seen| {
            let mood = *of_relay.lock();
            answer(mood, number, seen, address)
        });
        Self {
            relay,
            mood,
            service,
            _setup: setup,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.relay.address
    }

    pub fn turn(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }
}

impl Drop for MoodyUpstream {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

fn refuse(status: &str, kind: &str, message: &str, headers: &[(&str, &str)]) -> Then {
    let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
    Then::respond(status, headers, &body)
}

fn answer(mood: Mood, number: usize, seen: &Seen, service: SocketAddr) -> Then {
    let is_of_research = seen.all("x-api-key") == [RESEARCH_KEY];
    match mood {
        Mood::Broken => return Then::Reset,
        Mood::Strict if is_of_research => {
            return refuse(
                "401 Unauthorized",
                "authentication_error",
                "invalid x-api-key",
                &[],
            );
        }
        Mood::Short if number.is_multiple_of(2) => {
            return refuse(
                "429 Slow Down",
                "rate_limit_error",
                "slow down",
                &[("retry-after", "1")],
            );
        }
        _ => {}
    }
    if number % 41 == 7 {
        return refuse("500 Internal Server Error", "api_error", "a fault", &[]);
    }
    let is_write = seen.line.starts_with("POST");
    if is_write && number % 23 == 3 {
        // Nothing that the gateway could know of.
        let message = "config.networking.allowed_hosts.0: this host may not be listed";
        return refuse("400 Bad Request", "invalid_request_error", message, &[]);
    }
    let reply = forward(seen, service);
    let mut body = reply.text();
    if reply.status == 200 {
        if number.is_multiple_of(5) {
            body = body.replacen(
                r#""type":"environment""#,
                r#""type":"environment","state":"active""#,
                1,
            );
        }
        if is_write && number % 11 == 5 && body.contains("guarded") {
            body = body.replace(r#""type":"limited""#, r#""type":"unrestricted""#);
        }
    }
    let headers = [
        ("content-type", "application/json"),
        ("request-id", reply.header("request-id").unwrap_or("req_relay")),
    ];
    let answer = Then::respond(&format!("{} Relayed", reply.status), &headers, &body);
    match answer {
        Then::Reply(bytes) => Then::Late(latency(number), bytes),
        other => other,
    }
}

/// Mostly some tens of milliseconds, now and then ten times as long.
fn latency(number: usize) -> Duration {
    let step = u64::try_from(number % 17).unwrap();
    let milliseconds = if number % 29 == 4 { 400 } else { 8 + 3 * step };
    Duration::from_millis(milliseconds)
}

fn forward(seen: &Seen, service: SocketAddr) -> Response {
    let mut words = seen.line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut request = Request::new(service, method, path).header("x-api-key", OPERATOR_KEY);
    let own = ["host", "content-length", "x-api-key", "connection"];
    for (name, value) in seen
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
    {
        request = request.header(name, value);
    }
    if !seen.body.is_empty() {
        request = request.body(&seen.body);
    }
    request.send()
}
