//! A client that sends exactly what it is told and sees every byte that comes back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::tls::TlsStream;

pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        Self {
            address,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// The bytes of the request, with a `Content-Length` where there is a body.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    pub fn head_bytes(&self) -> Vec<u8> {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\n",
            self.method, self.path, self.address
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let framed = |name: &&(String, String)| {
            name.0.eq_ignore_ascii_case("content-length") || name.0.eq_ignore_ascii_case("transfer-encoding")
        };
        if let (Some(body), None) = (&self.body, self.headers.iter().find(framed)) {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Sends the request on a connection of its own and reads the answer.
    pub fn send(&self) -> Response {
        self.send_on(Connection::open(self.address))
    }

    /// The same, from another address of this machine: `127.0.0.LAST`.
    pub fn send_from(&self, last: u8) -> Response {
        self.send_on(Connection::open_from(last, self.address))
    }

    fn send_on(&self, mut connection: Connection) -> Response {
        connection.write(&self.bytes());
        connection.read_response()
    }
}

/// One connection, for those who care how bytes arrive.
pub struct Connection {
    stream: BufReader<Stream>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    /// The same, where nobody may be listening any more.
    pub fn try_open(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self::on(TcpStream::connect(address)?))
    }

    /// The same, from another address of this machine: `127.0.0.LAST`.
    pub fn open_from(last: u8, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::from(([127, 0, 0, last], 0)).into())
            .unwrap();
        socket.connect(&address.into()).unwrap();
        Self::on(socket.into())
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(Stream::Plain(stream)),
        }
    }

    pub fn over_tls(stream: TlsStream) -> Self {
        Self {
            stream: BufReader::new(Stream::Tls(Box::new(stream))),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        // The other side may have answered and closed already; what it said is read next.
        let stream = self.stream.get_mut();
        let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    }

    /// Leaves so that the other side learns of it at once.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.stream.get_ref().socket());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub fn half_close(&mut self) {
        let socket = self.stream.get_ref().socket();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Reads one final response; interim ones are passed over.
    pub fn read_response(&mut self) -> Response {
        loop {
            let response = self
                .read_any_response()
                .expect("the connection closed without an answer");
            if response.status >= 200 {
                return response;
            }
        }
    }

    /// Reads the next response, interim or final; none where the connection is closed.
    pub fn read_any_response(&mut self) -> Option<Response> {
        let mut response = self.try_read_head()?;
        let length = response.headers.iter().find(|(name, _)| name == "content-length");
        response.body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
        self.stream.read_exact(&mut response.body).unwrap();
        Some(response)
    }

    /// Reads a response that has no body, whatever its header says.
    pub fn read_head(&mut self) -> Response {
        self.try_read_head()
            .expect("the connection closed without an answer")
    }

    fn try_read_head(&mut self) -> Option<Response> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        let status = line
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("not a status line: {line:?}"))
            .parse()
            .unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap();
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Response {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// Whether the other side has closed the connection in an orderly way.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok(rest) if rest.is_empty())
    }
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} came twice");
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The response, where it is the dialect's envelope with this status and type, and its request id is the
    /// header's.
    pub fn expect_error(&self, status: u16, error_type: &str) -> Value {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["type"], "error", "{body}");
        assert_eq!(body["error"]["type"], error_type, "{body}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(body["request_id"].as_str(), self.header("request-id"), "{body}");
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"), "{body}");
        body["error"].clone()
    }
}
