//! Clients that send at a steady rate, whatever becomes of their requests, and remember what came back.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::envgate::pause;

const CLIENTS: u32 = 25;
const PER_SECOND: u32 = 500;

/// A load that goes on until it is told to end.
pub struct SteadyLoad {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Outcome>>,
}

/// What the clients saw.
#[derive(Default)]
pub struct Outcome {
    pub requests: usize,
    /// Each with when it was sent, counted from the start.
    pub failures: Vec<String>,
    /// The request ids of updates that were answered.
    pub updates: BTreeSet<String>,
}

impl SteadyLoad {
    /// Retrieves and updates an environment, one after the other, with keep-alive connections.
    pub fn start(address: SocketAddr, key: &str) -> Self {
        let is_over = Arc::<AtomicBool>::default();
        let answered = Arc::<AtomicUsize>::default();
        let start = Instant::now();
        let client = |number: u32| {
            let (key, is_over, answered) = (key.to_owned(), Arc::clone(&is_over), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut client = Client::new(address, &key, number, start);
                let between = Duration::from_secs(1) * CLIENTS / PER_SECOND;
                // Not all in the same moment.
                let mut next = start + between / CLIENTS * number;
                while !is_over.load(Ordering::Relaxed) {
                    pause(next.saturating_duration_since(Instant::now()));
                    client.send();
                    answered.fetch_add(1, Ordering::Relaxed);
                    next += between;
                }
                client.outcome
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self {
            is_over,
            answered,
            clients,
        }
    }

    /// Waits until so many more requests have been answered.
    pub fn go_on_for(&self, requests: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        while self.answered.load(Ordering::Relaxed) < before + requests {
            pause(Duration::from_millis(10));
        }
    }

    pub fn stop(self) -> Outcome {
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = Outcome::default();
        for client in self.clients {
            let outcome = client.join().unwrap();
            all.requests += outcome.requests;
            all.failures.extend(outcome.failures);
            all.updates.extend(outcome.updates);
        }
        all
    }
}

struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
    retrieve: String,
    update: String,
    start: Instant,
    outcome: Outcome,
}

impl Client {
    fn new(address: SocketAddr, key: &str, number: u32, start: Instant) -> Self {
        // One for each, so that nobody waits for another's update.
        let path = format!("/v1/environments/env_{number:024}");
        let body = format!(r#"{{"name":"client {number}"}}"#);
        let head = format!("{path} HTTP/1.1\r\nhost: envgate\r\nx-api-key: {key}\r\n");
        let length = body.len();
        Self {
            address,
            connection: None,
            retrieve: format!("GET {head}\r\n"),
            update: format!(
                "POST {head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            ),
            start,
            outcome: Outcome::default(),
        }
    }

    /// Sends the next request. One that fails is not sent again.
    fn send(&mut self) {
        let is_update = self.outcome.requests % 2 == 1;
        self.outcome.requests += 1;
        let sent = self.start.elapsed();
        match self.exchange(is_update) {
            Ok(Answer {
                status: 200,
                request_id,
                ..
            }) => {
                self.outcome.updates.extend(request_id.filter(|_| is_update));
            }
            Ok(Answer { status, body, .. }) => self.fail(sent, is_update, &format!("{status} {body}")),
            Err(error) => {
                self.connection = None;
                self.fail(sent, is_update, &error.to_string());
            }
        }
    }

    fn fail(&mut self, sent: Duration, is_update: bool, why: &str) {
        let what = if is_update { "update" } else { "retrieve" };
        self.outcome.failures.push(format!("{sent:.1?} {what}: {why}"));
    }

    fn exchange(&mut self, is_update: bool) -> std::io::Result<Answer> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let socket = TcpStream::connect(self.address)?;
                socket.set_nodelay(true)?;
                socket.set_read_timeout(Some(Duration::from_secs(30)))?;
                BufReader::new(socket)
            }
        };
        let request = if is_update { &self.update } else { &self.retrieve };
        connection.get_mut().write_all(request.as_bytes())?;
        let answer = read_answer(&mut connection)?;
        if !answer.is_last {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

struct Answer {
    status: u16,
    request_id: Option<String>,
    body: String,
    is_last: bool,
}

fn read_answer(connection: &mut BufReader<TcpStream>) -> std::io::Result<Answer> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let header = |wanted: &str| {
        let mut headers = lines.iter().filter_map(|line| line.split_once(':'));
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    Ok(Answer {
        status: lines[0].split(' ').nth(1).unwrap().parse().unwrap(),
        request_id: header("request-id"),
        body: String::from_utf8_lossy(&body).into_owned(),
        is_last: header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")),
    })
}
