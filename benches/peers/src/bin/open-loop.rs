//! Requests at a fixed rate, whatever the answers do: each has its time to be sent, and its latency counts from then, so
//! that an answer that is late counts for all that wait behind it (no coordinated omission).
//!
//! `open-loop ADDRESS RATE SECONDS KEY PATH BODY`; prints one JSON line: p50, p99 and p99.9 in microseconds. Each of its threads
//! has a connection of its own and every n-th request; it sleeps, with the finest timer slack, until the next is due.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u32 = 16;

struct Load {
    address: SocketAddr,
    request: Vec<u8>,
    interval: Duration,
    requests: u32,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, rate, seconds, key, path, body] = arguments.as_slice() else {
        panic!("usage: open-loop ADDRESS RATE SECONDS KEY PATH BODY");
    };
    let (rate, seconds): (u32, u32) = (number(rate), number(seconds));
    let method = if body.is_empty() { "GET" } else { "POST" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nx-api-key: {key}\r\n\
         anthropic-version: 2023-06-01\r\nanthropic-beta: managed-agents-2026-04-01\r\ncontent-type: application/json\r\nuser-agent: open-loop\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let load = Load {
        address: address.parse().map_err(io::Error::other)?,
        request: head.into_bytes(),
        interval: Duration::from_secs(1) / rate,
        requests: rate * seconds,
    };
    let begin = Instant::now() + Duration::from_millis(200);
    let sent: Vec<io::Result<(Vec<Duration>, usize)>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|first| {
                let load = &load;
                scope.spawn(move || send(load, begin, first))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
            })
            .collect()
    });
    let (mut latencies, mut refused) = (Vec::new(), 0);
    for part in sent {
        let (some, of_them) = part?;
        latencies.extend(some);
        refused += of_them;
    }
    latencies.sort_unstable();
    let at = |permille: usize| {
        let index = (latencies.len() * permille / 1000).min(latencies.len().saturating_sub(1));
        latencies
            .get(index)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    };
    println!(
        r#"{{"requests":{},"refused":{refused},"p50_us":{:.1},"p99_us":{:.1},"p999_us":{:.1}}}"#,
        latencies.len(),
        at(500),
        at(990),
        at(999)
    );
    Ok(())
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Every [`THREADS`]th request from `first` on; gives back their latencies, and how many were not answered 200.
fn send(load: &Load, begin: Instant, first: u32) -> io::Result<(Vec<Duration>, usize)> {
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut connection = TcpStream::connect(load.address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut latencies, mut refused, mut input) = (Vec::new(), 0, Vec::new());
    for number in (first..load.requests).step_by(THREADS as usize) {
        let due = begin + load.interval * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.write_all(&load.request)?;
        if !read_answer(&mut connection, &mut input)? {
            refused += 1;
        }
        latencies.push(due.elapsed());
    }
    Ok((latencies, refused))
}

/// Reads one answer with a length; whether it is a 200.
fn read_answer(connection: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<bool> {
    input.clear();
    let mut piece = [0; 8192];
    loop {
        let read = connection.read(&mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        input.extend_from_slice(piece.get(..read).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(head)) = answer.parse(input) else {
            continue;
        };
        let length = answer
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length: usize = length
            .and_then(|header| str::from_utf8(header.value).ok()?.parse().ok())
            .ok_or_else(|| io::Error::other("an answer without a length"))?;
        if input.len() >= head + length {
            return Ok(answer.code == Some(200));
        }
    }
}
