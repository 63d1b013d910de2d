use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::judge_bytes;

/// Pieces of which requests are made, good ones and bad ones.
const WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "OPTIONS ",
    "HEAD ",
    "CONNECT ",
    "/v1/environments",
    "/",
    "*",
    "http://b/",
    "http://b",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    " HTTP/1.3\r\n",
    " HTTP/2.0\r\n",
    "host: a\r\n",
    "Host: b:80\r\n",
    "host: a,b\r\n",
    "connection: close\r\n",
    "content-length: 5\r\n",
    "Content-Length: 0\r\n",
    "transfer-encoding: chunked\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "\r\n",
    "\n",
    "\r",
    " ",
    ":",
    "x: y\r\n",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\n",
    "5;a=b\r\n",
    "5;\r\n",
    "x: y\r\n\r\n",
];

/// Whole requests, so that there is something behind the first one.
const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "\r\nGET http://b?x HTTP/1.2\r\nhost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    "POST http://b/x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nx: y\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;\r\nhello\r\n0\r\n\r\n",
    "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => select(REQUESTS).prop_map(|text| text.as_bytes().to_vec()),
        4 => vec(select(WORDS), 1..8).prop_map(|words| words.concat().into_bytes()),
        1 => vec(any::<u8>(), 0..8),
    ];
    vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// The same bytes in pieces that end at these places.
fn split(bytes: &[u8], places: &[Index]) -> Vec<Vec<u8>> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut start = 0;
    let piece = |end| bytes[std::mem::replace(&mut start, end)..end].to_vec();
    places.into_iter().map(piece).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_bytes_arrive_the_verdict_is_the_same(
        bytes in text(),
        places in vec(any::<Index>(), 0..12),
        buffer_bytes in 1..200_usize,
    ) {
        let whole = judge_bytes([bytes.clone()], 1 << 16);
        prop_assert_eq!(&judge_bytes(split(&bytes, &places), 1 << 16), &whole);
        prop_assert_eq!(&judge_bytes(split(&bytes, &places), buffer_bytes), &whole);
        prop_assert_eq!(&judge_bytes(bytes.iter().map(|byte| vec![*byte]), 1 << 16), &whole);
    }
}
