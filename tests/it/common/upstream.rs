//! An upstream that records what it is sent and answers as the test says, faults included.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use socket2::{Domain, Socket, Type};

/// One request as the upstream saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// What the upstream does once it has read a request.
#[derive(Clone, Debug)]
pub enum Then {
    /// Writes these bytes and keeps the connection.
    Reply(Vec<u8>),
    /// Writes these bytes and closes.
    ReplyAndClose(Vec<u8>),
    /// Says nothing for so long, then closes.
    Hang(Duration),
    /// Waits, then writes these bytes and keeps the connection.
    Late(Duration, Vec<u8>),
    /// Waits until the gate is open, then writes these bytes and keeps the connection.
    Gated(Gate, Vec<u8>),
    /// Writes these bytes one by one, each after a moment.
    Drip(Vec<u8>),
    /// Writes these bytes in ten parts, the last of them after so long.
    Spread(Duration, Vec<u8>),
    /// Closes with a reset.
    Reset,
    /// Writes these bytes, and once they are read closes with a reset.
    ReplyAndReset(Vec<u8>),
}

/// Holds replies back until the test opens it.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        let (is_open, opened) = &*self.0;
        *is_open.lock() = true;
        opened.notify_all();
    }

    pub fn wait(&self) {
        let (is_open, opened) = &*self.0;
        opened.wait_while(&mut is_open.lock(), |is_open| !*is_open);
    }
}

impl Then {
    /// The same reply, once a gate is open.
    pub fn behind(self, gate: &Gate) -> Self {
        match self {
            Self::Reply(bytes) => Self::Gated(gate.clone(), bytes),
            other => other,
        }
    }

    /// A well-formed response.
    pub fn respond(status: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut bytes = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        bytes.push_str("\r\n");
        bytes.push_str(body);
        Self::Reply(bytes.into_bytes())
    }

    /// An environment, as the upstream answers when all is well.
    pub fn environment() -> Self {
        let headers = [
            ("content-type", "application/json"),
            ("request-id", "req_upstream_1"),
        ];
        Self::respond("200 OK", &headers, ENVIRONMENT)
    }
}

pub const ENVIRONMENT: &str = r#"{"id":"env_1","type":"environment","name":"n","description":null,"config":{"type":"cloud","networking":{"type":"unrestricted"},"packages":{"type":"packages","apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":[]}},"metadata":{},"archived_at":null,"created_at":"2026-05-29T10:00:00Z","updated_at":"2026-05-29T10:00:00Z","scope":"organization"}"#;

/// Long enough for the other side to have read what was written before.
const DRIP: Duration = Duration::from_millis(50);

pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// Answers every request with what `answer` says for its number, counted from 0 over all connections.
    pub fn start(answer: impl Fn(usize, &Seen) -> Then + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let recorded = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&recorded));
                std::thread::spawn(move || serve(stream.unwrap(), &*answer, &seen));
            }
        });
        Self { address, seen }
    }

    pub fn always(then: Then) -> Self {
        Self::start(move |_, _| then.clone())
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

/// An address where nobody listens, and nobody else can.
pub struct ClosedPort(Socket);

impl ClosedPort {
    pub fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .unwrap();
        Self(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(usize, &Seen) -> Then, seen: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let number = {
            let mut seen = seen.lock();
            seen.push(request.clone());
            seen.len() - 1
        };
        let stream = reader.get_mut();
        match answer(number, &request) {
            Then::Reply(bytes) => stream.write_all(&bytes).unwrap_or_default(),
            Then::ReplyAndClose(bytes) => return stream.write_all(&bytes).unwrap_or_default(),
            Then::Hang(duration) => return super::envgate::pause(duration),
            Then::Late(duration, bytes) => {
                super::envgate::pause(duration);
                stream.write_all(&bytes).unwrap_or_default();
            }
            Then::Gated(gate, bytes) => {
                gate.wait();
                stream.write_all(&bytes).unwrap_or_default();
            }
            Then::Drip(bytes) => {
                for byte in bytes {
                    super::envgate::pause(DRIP);
                    if stream.write_all(&[byte]).is_err() {
                        return;
                    }
                }
            }
            Then::Spread(duration, bytes) => {
                for part in bytes.chunks(bytes.len().div_ceil(10)) {
                    super::envgate::pause(duration / 10);
                    if stream.write_all(part).is_err() {
                        return;
                    }
                }
            }
            Then::Reset => return reset(stream),
            Then::ReplyAndReset(bytes) => {
                stream.write_all(&bytes).unwrap_or_default();
                super::envgate::pause(DRIP);
                return reset(stream);
            }
        }
    }
}

/// Closing a socket with unread input makes the kernel send a reset instead of an orderly end; where there is
/// none, a zero linger does it.
fn reset(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Seen {
        line: line.trim_end().to_owned(),
        headers,
        body,
    })
}
