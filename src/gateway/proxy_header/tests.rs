use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, ReadBuf, duplex};

use super::*;

const PLENTY: Duration = Duration::from_secs(60);
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 with this command and family, and so much behind it.
fn v2_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, rest].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 1, 203, 0, 113, 1, 0x11, 0x11, 0x01, 0xbb];

fn ipv6(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    [&source.octets()[..], &[0; 16], &[0x11, 0x11, 0x01, 0xbb]].concat()
}

/// Gives out as many bytes at a time as somebody said.
struct Pieces<'a> {
    bytes: &'a [u8],
    at_once: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.at_once.min(self.bytes.len()).min(buf.remaining());
        let (now, later) = self.bytes.split_at(length);
        buf.put_slice(now);
        self.bytes = later;
        Poll::Ready(Ok(()))
    }
}

/// What is read of a header that comes in pieces, and what is left behind it.
async fn read_in(bytes: &[u8], at_once: usize) -> (Result<Option<IpAddr>, ProxyHeaderError>, usize) {
    let mut stream = Pieces { bytes, at_once };
    let outcome = read_proxy_header(&mut stream, PLENTY).await;
    (outcome, stream.bytes.len())
}

#[tokio::test]
async fn the_address_is_the_clients_and_what_follows_is_left() {
    let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
    for (header, expected) in [
        (line("TCP4 192.0.2.1 203.0.113.1 4369 443"), Some("192.0.2.1")),
        (line("TCP6 2001:db8::1 2001:db8::2 4369 443"), Some("2001:db8::1")),
        (line("TCP6 ::ffff:192.0.2.1 ::1 4369 443"), Some("192.0.2.1")),
        (line("UNKNOWN"), None),
        (line("UNKNOWN ffff::1 ffff::2 65535 65535"), None),
        (v2_header(1, 0x11, &IPV4), Some("192.0.2.1")),
        (v2_header(1, 0x21, &ipv6("2001:db8::1")), Some("2001:db8::1")),
        (v2_header(1, 0x21, &ipv6("::ffff:192.0.2.1")), Some("192.0.2.1")),
        (
            v2_header(1, 0x11, &[&IPV4[..], &[4, 0, 3, 1, 2, 3]].concat()),
            Some("192.0.2.1"),
        ),
        (v2_header(1, 0x31, &[b'/'; 216]), None),
        (v2_header(1, 0x00, &[]), None),
        (v2_header(0, 0x00, &[]), None),
        (v2_header(0, 0x11, &IPV4), None),
        (
            v2_header(1, 0x11, &[&IPV4[..], &[4, 0x0f, 0xe1], &[0; 4065]].concat()),
            Some("192.0.2.1"),
        ),
    ] {
        let bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
        for at_once in [1, 2, 13, usize::MAX] {
            let (address, left) = read_in(&bytes, at_once).await;
            let address = address.unwrap().map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{header:?} in pieces of {at_once}");
            assert_eq!(left, 16, "{header:?} in pieces of {at_once}");
        }
    }
}

#[tokio::test]
async fn what_is_no_header_is_malformed_and_never_read_far() {
    let long_line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107));
    for (bytes, most) in [
        (&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], FIRST_BYTES),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00",
            FIRST_BYTES,
        ),
        (b"PROXY TCP4 192.0.2.1 203.0.113.1 4369\r\n", MAX_LINE_BYTES),
        (b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", MAX_LINE_BYTES),
        (b"PROXY TCP4 192.0.2.256 203.0.113.1 1 2\r\n", MAX_LINE_BYTES),
        (b"PROXY TCP4 192.0.2.1 203.0.113.1 70000 2\r\n", MAX_LINE_BYTES),
        (b"PROXY TCP4 192.0.2.1 203.0.113.1 1 2 3\r\n", MAX_LINE_BYTES),
        (b"PROXY  TCP4 192.0.2.1 203.0.113.1 1 2\r\n", MAX_LINE_BYTES),
        (b"PROXY UDP4 192.0.2.1 203.0.113.1 1 2\r\n", MAX_LINE_BYTES),
        (b"proxy TCP4 192.0.2.1 203.0.113.1 1 2\r\n", MAX_LINE_BYTES),
        (b"PROXY \xff\xff\xff\xff\xff\xff\r\n", MAX_LINE_BYTES),
        (long_line.as_bytes(), MAX_LINE_BYTES),
        (&v2_header(2, 0x11, &IPV4), MAX_BYTES),
        (&v2_header(1, 0x41, &IPV4), MAX_BYTES),
        (&v2_header(1, 0x13, &IPV4), MAX_BYTES),
        (&v2_header(1, 0x11, &IPV4[..11]), MAX_BYTES),
        (&v2_header(1, 0x21, &IPV4), MAX_BYTES),
        (&v2_header(1, 0x11, &[0; 4081]), 16),
        (&v2_header(1, 0x11, &[0; 65535]), 16),
    ] {
        let (outcome, left) = read_in(bytes, usize::MAX).await;
        assert!(
            matches!(outcome, Err(ProxyHeaderError::Malformed)),
            "{bytes:?}: {outcome:?}"
        );
        assert!(bytes.len() - left <= most, "{bytes:?}: {left} are left");
    }
}

#[tokio::test]
async fn an_end_in_the_middle_is_no_header_either() {
    let whole = [
        b"PROXY TCP4 192.0.2.1 203.0.113.1 4369 443\r\n".to_vec(),
        v2_header(1, 0x11, &IPV4),
    ];
    for header in whole {
        for length in 0..header.len() {
            let (outcome, _) = read_in(&header[..length], usize::MAX).await;
            assert!(
                matches!(outcome, Err(ProxyHeaderError::Left(_))),
                "{length}: {outcome:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_drips_has_one_deadline() {
    let (mut client, mut server) = duplex(1);
    let dripping = async {
        for byte in b"PROXY UNKNOWN ".iter().chain([b'x'].iter().cycle()) {
            if client.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let outcome = tokio::select! {
        outcome = read_proxy_header(&mut server, Duration::from_secs(10)) => outcome,
        () = dripping => unreachable!("it is read until it is late"),
    };
    assert!(matches!(outcome, Err(ProxyHeaderError::Late)), "{outcome:?}");
}

proptest! {
    #[test]
    fn whatever_comes_is_judged_within_the_bound(
        signature in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let first: &[u8] = if signature { SIGNATURE } else { b"PROXY " };
        let bytes = [first, &bytes].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (_, left) = runtime.block_on(read_in(&bytes, usize::MAX));
        prop_assert!(bytes.len() - left <= MAX_BYTES);
    }
}
