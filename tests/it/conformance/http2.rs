//! RFC 9113, HTTP/2: what a server has to refuse, and how. Nothing refused may reach the upstream.

mod connection;
mod frames;
mod messages;
mod streams;

use crate::common::envgate::{Envgate, Setup};
use crate::common::http2::{Http2, PROTOCOL_ERROR, Taken, block};
use crate::common::tls::{Authority, TlsClient, with_tls};
use crate::common::upstream::{Then, Upstream};

const PATH: &str = "/v1/environments/env_1";

/// A gateway before an upstream that should see nothing, but for what a test says.
struct Server {
    envgate: Envgate,
    client: TlsClient,
    upstream: Upstream,
    bearer: String,
}

impl Server {
    fn start() -> Self {
        Self::before(Then::environment())
    }

    fn before(then: Then) -> Self {
        let authority = Authority::new();
        let upstream = Upstream::always(then);
        let envgate = with_tls(Setup::new(), &authority)
            .upstream(upstream.address)
            .start();
        Self {
            client: TlsClient::new(&authority),
            bearer: format!("Bearer {}", envgate.key),
            envgate,
            upstream,
        }
    }

    fn open(&self) -> Http2 {
        Http2::open(&self.client, &self.envgate)
    }

    fn fields<'a>(&'a self, method: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            (":method", method),
            (":scheme", "https"),
            (":path", PATH),
            (":authority", "localhost"),
            ("authorization", &self.bearer),
        ]
    }

    /// The header block of a request that is good.
    fn good(&self) -> Vec<u8> {
        block(&self.fields("GET"))
    }

    /// Sends frames on a connection of their own and says how the server took the connection.
    fn connection_error(&self, frames: &[u8]) -> Taken {
        let mut http2 = self.open();
        http2.write(frames);
        http2.taken(0)
    }

    /// Sends a request with these fields, and says how the server took it.
    fn taken(&self, fields: &[(&str, &str)]) -> Taken {
        let mut http2 = self.open();
        http2.request(1, fields);
        http2.taken(1)
    }

    #[track_caller]
    fn expect_nothing_above(&self) {
        assert!(self.upstream.seen().is_empty(), "{:?}", self.upstream.seen());
        self.envgate.expect_metric("envgate_requests_in_flight", 0.0);
    }
}

fn connection_error(reason: u32) -> Taken {
    Taken::ConnectionError(Some(reason))
}

/// The connection was given up for this reason, or for the one word that the library has for all that it
/// cannot decode.
#[track_caller]
fn expect_connection_error(taken: &Taken, reason: u32) {
    let expected = [connection_error(reason), connection_error(PROTOCOL_ERROR)];
    assert!(expected.contains(taken), "{taken:?}");
}

#[track_caller]
fn expect_refused(taken: &Taken) {
    let is_refused = match taken {
        Taken::StreamError(reason) | Taken::ConnectionError(Some(reason)) => *reason == PROTOCOL_ERROR,
        Taken::Answered(status) => (400..500).contains(status),
        Taken::ConnectionError(None) => false,
    };
    assert!(is_refused, "{taken:?}");
}
