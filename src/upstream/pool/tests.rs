use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::upstream::request::UpstreamRequest;
use crate::upstream::transport::Transport;

/// A connection that has carried a request, and the other end of it.
async fn used() -> (Box<Http1Connection>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let connection = Http1Connection::new(Transport::Plain(connected.unwrap()), address);
    let (mut connection, mut other_end) = (Box::new(connection), accepted.unwrap().0);
    let answer = async {
        other_end.read_buf(&mut Vec::with_capacity(1024)).await.unwrap();
        let reply = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        other_end.write_all(reply.as_bytes()).await.unwrap();
    };
    let request = UpstreamRequest::of_test("GET / HTTP/1.1\r\nhost: h\r\n\r\n", "");
    let (reply, ()) = tokio::join!(connection.exchange(request, usize::MAX), answer);
    assert_eq!(reply.ok().unwrap().body, "{}");
    (connection, other_end)
}

fn count(pool: &Pool) -> usize {
    pool.idle.iter().map(|idle| idle.lock().len()).sum()
}

#[tokio::test]
async fn a_connection_that_works_is_kept_when_the_name_leads_elsewhere() {
    let pool = Pool::default();
    let (connection, _other_end) = used().await;
    pool.put(connection);
    let mut connection = pool.take(|_| false).unwrap();

    connection.opened_at = Instant::now().checked_sub(UNNAMED_LIFETIME).unwrap();
    pool.put(connection);
    let connection = pool.take(|_| true).unwrap();
    pool.put(connection);
    assert!(pool.take(|_| false).is_none(), "but not for ever");
}

#[tokio::test]
async fn what_the_upstream_has_closed_is_closed_here_without_a_request() {
    let pool = Pool::default();
    let (closed, other_end) = used().await;
    let (open, _other_end) = used().await;
    pool.put(closed);
    pool.put(open);
    pool.reap();
    assert_eq!(count(&pool), 2);
    drop(other_end);
    while count(&pool) == 2 {
        tokio::task::yield_now().await;
        pool.reap();
    }
    assert!(pool.take(|_| true).is_some(), "the other one works");
}

#[tokio::test]
async fn what_nobody_has_needed_for_long_is_closed() {
    let pool = Pool::default();
    let (connection, mut other_end) = used().await;
    pool.put(connection);
    for idle in &pool.idle {
        for idle in idle.lock().iter_mut() {
            idle.since = Instant::now().checked_sub(IDLE_TIMEOUT).unwrap();
        }
    }
    pool.reap();
    assert_eq!(count(&pool), 0);
    assert_eq!(other_end.read(&mut [0]).await.unwrap(), 0, "an orderly end");
}

#[tokio::test]
async fn as_many_are_kept_as_end_at_once_where_hundreds_are_in_flight() {
    let pool = Pool::default();
    let mut others = Vec::new();
    for _ in 0..300 {
        let (connection, other_end) = used().await;
        pool.put(connection);
        others.push(other_end);
    }
    assert_eq!(count(&pool), others.len());
}
