//! What connections within TLS hold while they are idle.

use envgate::server::DescriptorLimit;

use crate::common::EXAMPLE;
use crate::common::client::Connection;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::http2::{Http2, Taken};
use crate::common::tls::{Authority, TlsClient, with_tls};

const COUNT: usize = 500;

/// How much each of many idle connections holds, where all is given back once they are gone.
fn bytes_of_each<T>(open: impl Fn(&Envgate, &TlsClient) -> T) -> usize {
    DescriptorLimit::raise().unwrap();
    let authority = Authority::new();
    let client = TlsClient::new(&authority);
    // The allocator's own constant, which is ten seconds.
    let envgate = with_tls(Setup::new(), &authority)
        .set("_RJEM_MALLOC_CONF", "dirty_decay_ms:200,muzzy_decay_ms:0")
        .start();
    drop((0..50).map(|_| open(&envgate, &client)).collect::<Vec<_>>());
    let before = envgate.resident_bytes();
    let grown_by = || envgate.resident_bytes().saturating_sub(before);
    let connections: Vec<_> = (0..COUNT).map(|_| open(&envgate, &client)).collect();
    let each = grown_by() / COUNT;
    drop(connections);
    eventually("the memory is given back", || grown_by() < 6 * 1024 * COUNT);
    each
}

#[test]
fn one_of_http_1_1_holds_little() {
    let each = bytes_of_each(|envgate, client| {
        let mut connection = Connection::over_tls(client.connect(envgate.gateway));
        connection.write(&envgate.request("GET", EXAMPLE).bytes());
        assert_eq!(connection.read_response().status, 200);
        connection
    });
    assert!(each <= 28 * 1024, "{each} bytes");
}

#[test]
fn one_of_http_2_holds_less_than_two_of_http_1_1() {
    let each = bytes_of_each(|envgate, client| {
        let mut http2 = Http2::open(client, envgate);
        let bearer = format!("Bearer {}", envgate.key);
        let fields = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", EXAMPLE),
            (":authority", "localhost"),
            ("authorization", &bearer),
        ];
        http2.request(1, &fields);
        assert_eq!(http2.taken(1), Taken::Answered(200));
        http2
    });
    assert!(each <= 48 * 1024, "{each} bytes");
}
