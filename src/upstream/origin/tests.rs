use std::net::{TcpListener, TcpStream as StdStream};

use super::*;
use crate::config::UpstreamTls;
use crate::upstream::address_race::STAGGER;

const CIRCUIT: config::Circuit = config::Circuit {
    failures: 0,
    pause: Duration::from_secs(10),
};

/// An origin whose name has these addresses.
async fn origin(addresses: &[SocketAddr]) -> Origin {
    let url = UpstreamUrl::parse("http://upstream.test:8080").unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let resolver = Resolver::answering(addresses.to_vec());
    resolver.refresh().await;
    Origin {
        resolver,
        ..Origin::new(url, &Route::default(), CIRCUIT, metrics).unwrap()
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses connections: bound, so that nobody else has it, and never listening.
fn refusing() -> SocketAddr {
    let (socket, address) = bound();
    std::mem::forget(socket);
    address
}

fn bound() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// An address that neither takes nor refuses a connection: its queue is full. For as long as what comes with
/// it lives.
fn silent() -> (SocketAddr, impl Sized) {
    let (socket, address) = bound();
    socket.listen(0).unwrap();
    let waiting: Vec<_> = (0..4)
        .map(|_| StdStream::connect_timeout(&address, Duration::from_millis(20)))
        .collect();
    assert!(waiting.iter().any(Result::is_err), "the queue is full");
    (address, (socket, waiting))
}

const PATIENCE: Duration = Duration::from_millis(600);

#[tokio::test]
async fn all_addresses_are_tried_in_their_order() {
    let (_listening, good) = listener();
    let origin = origin(&[refusing(), refusing(), good]).await;
    let link = origin.connect(PATIENCE).await.ok().unwrap();
    assert_eq!(link.address, good);
    assert_eq!(origin.metrics.upstream.connections_opened.get(), 1);
    assert_eq!(
        origin.resolver.addresses().await.unwrap()[0],
        good,
        "the next connection begins there"
    );
}

#[tokio::test]
async fn an_address_that_does_not_answer_keeps_the_others_waiting_for_a_moment() {
    let (silent, _held) = silent();
    let (_listening, good) = listener();
    let origin = origin(&[silent, good]).await;
    let started = Instant::now();
    let connection = origin.connect(CONNECT_TIMEOUT).await.ok().unwrap();
    assert_eq!(connection.address, good);
    assert!(started.elapsed() >= STAGGER, "the first one had its moment");
}

#[tokio::test]
async fn an_address_that_takes_a_connection_and_then_is_silent_leaves_time_for_the_others() {
    let (_silent, first) = listener();
    let second = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut origin = origin(&[first, second.local_addr().unwrap()]).await;
    origin.tls = Some(Tls::new("upstream.test", &UpstreamTls::default()).unwrap().into());
    let (failure, reached) = tokio::join!(origin.connect(PATIENCE), second.accept());
    assert!(failure.is_err() && reached.is_ok());
}

#[tokio::test]
async fn where_no_address_takes_a_connection_the_last_failure_is_told() {
    let failure = origin(&[refusing(), refusing()])
        .await
        .connect(PATIENCE)
        .await
        .err();
    assert!(matches!(failure, Some(SendError::Unreachable(_))), "{failure:?}");
    let (silent, _held) = silent();
    for addresses in [[silent, refusing()], [refusing(), silent]] {
        let failure = origin(&addresses).await.connect(PATIENCE).await.err();
        assert!(
            matches!(failure, Some(SendError::ConnectTimeout(_))),
            "{failure:?}"
        );
    }
}

#[test]
fn what_this_machine_lacks_is_no_failure_of_the_upstream() {
    for code in [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::EADDRNOTAVAIL,
        libc::ENOMEM,
    ] {
        let local = SendError::of_connecting(io::Error::from_raw_os_error(code));
        assert!(matches!(local, SendError::OutOfResources(_)), "{local:?}");
        assert_eq!(local.health(), None, "{local}");
        let told = more_telling(Some(local), SendError::ConnectTimeout(CONNECT_TIMEOUT));
        assert_eq!(
            told.health(),
            None,
            "what else failed beside it says nothing either"
        );
    }
    let refused = SendError::of_connecting(io::Error::from_raw_os_error(libc::ECONNREFUSED));
    assert!(refused.health().is_some());
}

#[tokio::test]
async fn a_name_that_is_never_looked_up_does_not_outlast_the_connect_deadline() {
    let url = UpstreamUrl::parse("http://upstream.test:8080").unwrap();
    let origin = Origin::new(url, &Route::default(), CIRCUIT, Arc::new(Metrics::new().unwrap())).unwrap();
    let failure = origin.connect(Duration::from_millis(50)).await.err();
    assert!(
        matches!(failure, Some(SendError::ConnectTimeout(_))),
        "{failure:?}"
    );
}
