use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

const HEAD: &str = "POST / HTTP/1.1\r\nhost: h\r\n\r\n";

async fn opened() -> (Http1Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let connection = Http1Connection::new(Transport::Plain(connected.unwrap()), address);
    (connection, accepted.unwrap().0)
}

/// Sends a request that is answered with these pieces, one after the other.
async fn answered(pieces: &[&[u8]]) -> (Http1Connection, Result<Reply, ExchangeError>, TcpStream) {
    let (mut connection, mut other_end) = opened().await;
    other_end.set_nodelay(true).unwrap();
    let answer = async {
        other_end.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
        for piece in pieces {
            other_end.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        other_end
    };
    let exchange = connection.exchange(UpstreamRequest::of_test(HEAD, ""), 1 << 20);
    let (reply, other_end) = tokio::join!(exchange, answer);
    (connection, reply, other_end)
}

fn body_of(reply: Result<Reply, ExchangeError>) -> Bytes {
    reply.ok().unwrap().body
}

#[tokio::test]
async fn a_reply_is_the_same_in_whatever_pieces_it_comes() {
    let replies = [
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\na: b\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 5\n\nabcde",
    ];
    for reply in replies {
        for size in [1, 2, 3, 7, 1000] {
            let pieces: Vec<&[u8]> = reply.as_bytes().chunks(size).collect();
            let (mut connection, got, _other_end) = answered(&pieces).await;
            assert_eq!(body_of(got), "abcde", "{reply:?} by {size}");
            assert!(connection.is_reusable(), "{reply:?} by {size}");
        }
    }
}

#[tokio::test]
async fn a_large_reply_takes_no_more_memory_than_it_has_bytes() {
    let length = 1_000_003;
    let large = "a".repeat(length);
    let sized = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{large}");
    let chunked =
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{large}\r\n0\r\n\r\n");
    for reply in [sized, chunked] {
        let (mut connection, got, _other_end) = answered(&[reply.as_bytes()]).await;
        let body = body_of(got);
        assert_eq!(body.len(), length);
        assert_eq!(body.try_into_mut().unwrap().capacity(), length);
        assert!(connection.is_reusable());
    }
}

#[tokio::test]
async fn a_request_that_never_started_comes_back() {
    let (mut connection, other_end) = opened().await;
    drop(other_end);
    while connection.is_reusable() {
        tokio::task::yield_now().await;
    }
    let outcome = connection.exchange(UpstreamRequest::of_test(HEAD, ""), 100).await;
    assert!(matches!(outcome, Err(ExchangeError::NotStarted(_))));
}

#[tokio::test]
async fn what_comes_unasked_ends_a_connection() {
    let (mut connection, mut other_end) = opened().await;
    other_end.write_all(b"HTTP/1.1 408 Late\r\n\r\n").await.unwrap();
    while connection.is_reusable() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_dies_without_a_byte_is_told_from_one_that_dies_later() {
    for (said, expected) in [("", true), ("HTTP/1.1 200", false)] {
        let (mut connection, mut other_end) = opened().await;
        let answer = async move {
            other_end.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
            other_end.write_all(said.as_bytes()).await.unwrap();
        };
        let exchange = connection.exchange(UpstreamRequest::of_test(HEAD, ""), 100);
        let (outcome, ()) = tokio::join!(exchange, answer);
        let Err(ExchangeError::Broken { is_silent, .. }) = outcome else {
            panic!("{said:?}");
        };
        assert_eq!(is_silent, expected, "{said:?}");
        assert!(!connection.is_reusable());
    }
}

#[tokio::test]
async fn a_reply_to_a_request_that_is_not_taken_to_its_end_is_a_reply() {
    let body: &'static str = "a".repeat(16 << 20).leak();
    let (mut connection, mut other_end) = opened().await;
    let exchange = async {
        let outcome = connection
            .exchange(UpstreamRequest::of_test(HEAD, body), 100)
            .await;
        assert_eq!(body_of(outcome), "no");
        assert!(!connection.is_reusable(), "half a request is in it");
    };
    let answer = async {
        // It reads a part, and no more.
        other_end.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
        let reply = b"HTTP/1.1 413 Large\r\ncontent-length: 2\r\n\r\nno";
        other_end.write_all(reply).await.unwrap();
        other_end
    };
    let both = async { tokio::join!(exchange, answer) };
    timeout(Duration::from_secs(60), both).await.unwrap();
}

#[tokio::test]
async fn a_request_is_sent_whole_while_its_reply_comes() {
    let body: &'static str = "a".repeat(4 << 20).leak();
    let (mut connection, mut other_end) = opened().await;
    let exchange = async {
        let outcome = connection
            .exchange(UpstreamRequest::of_test(HEAD, body), 100)
            .await;
        assert_eq!(body_of(outcome), "ok");
        assert!(connection.is_reusable());
    };
    let answer = async {
        let mut space = vec![0; 1 << 16];
        let mut rest = HEAD.len() + body.len() - other_end.read(&mut space).await.unwrap();
        other_end.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while rest > 0 {
            rest -= other_end.read(&mut space).await.unwrap();
        }
        other_end.write_all(b"content-length: 2\r\n\r\nok").await.unwrap();
        other_end
    };
    tokio::join!(exchange, answer);
}
