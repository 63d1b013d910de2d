//! A proxy that makes tunnels by `CONNECT`, or does not.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// What the proxy does once it has read a request.
#[derive(Clone)]
pub enum ProxyThen {
    /// Makes a tunnel to this address, whatever was asked for: the test's names lead nowhere.
    Tunnel(SocketAddr),
    /// Writes these bytes and closes.
    Answer(String),
    /// Writes these bytes and then says nothing more.
    Hang(String),
}

pub struct ConnectProxy {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    pub fn start(then: ProxyThen) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let recorded = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (then, seen) = (then.clone(), Arc::clone(&recorded));
                std::thread::spawn(move || serve(stream.unwrap(), then, &seen));
            }
        });
        Self { address, seen }
    }

    /// The header of each request.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

fn serve(mut stream: TcpStream, then: ProxyThen, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    seen.lock().push(String::from_utf8(head).unwrap());
    match then {
        ProxyThen::Tunnel(target) => {
            let upstream = TcpStream::connect(target).unwrap();
            stream
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .unwrap();
            let (here, there) = (stream.try_clone().unwrap(), upstream.try_clone().unwrap());
            let back = std::thread::spawn(move || copy(there, here));
            copy(stream, upstream);
            back.join().unwrap();
        }
        ProxyThen::Answer(answer) => stream.write_all(answer.as_bytes()).unwrap_or_default(),
        ProxyThen::Hang(answer) => {
            stream.write_all(answer.as_bytes()).unwrap_or_default();
            super::envgate::pause(Duration::from_secs(30));
        }
    }
}

/// Until one side ends, which the other is told.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
