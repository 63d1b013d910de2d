//! Connections to the upstream, between requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::common::envgate::{Envgate, eventually};
use crate::common::upstream::ENVIRONMENT;

/// How many of this machine's connections to a port of its own the other side has closed, and this side has not.
fn half_closed_to(address: SocketAddr) -> usize {
    const CLOSE_WAIT: &str = "08";
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let sockets = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    sockets
        .filter(|socket| socket.get(2).is_some_and(|remote| remote.ends_with(&port)))
        .filter(|socket| socket.get(3) == Some(&CLOSE_WAIT))
        .count()
}

/// Reads a request without a body, and answers it.
fn answer(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", ENVIRONMENT.len());
    stream.write_all((head + ENVIRONMENT).as_bytes()).unwrap();
}

#[test]
fn a_connection_that_the_upstream_closes_is_closed_without_another_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let envgate = Envgate::in_front_of(address);
    let connections: Vec<TcpStream> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|number| {
                let envgate = &envgate;
                scope.spawn(move || envgate.get(&format!("/v1/environments/env_{number}")).status)
            })
            .collect();
        // All at once, so that each is a connection of its own.
        let mut connections: Vec<TcpStream> = (0..8).map(|_| listener.accept().unwrap().0).collect();
        connections.iter_mut().for_each(answer);
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
        connections
    });
    assert_eq!(half_closed_to(address), 0);
    drop(connections);
    eventually("the kernel has heard of it", || half_closed_to(address) > 0);
    eventually("all are closed here too", || half_closed_to(address) == 0);
}
