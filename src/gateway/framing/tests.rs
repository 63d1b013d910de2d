use super::*;
use crate::contract::MalformedRequest as M;

fn read_at_once(bytes: &[u8]) -> JudgedRequests {
    judge_bytes([bytes.to_vec()], 1 << 20)
}

#[track_caller]
fn refused(bytes: &[u8]) -> Refusal {
    let outcome = read_at_once(bytes);
    outcome
        .refusal
        .unwrap_or_else(|| panic!("taken: {}", bytes.escape_ascii()))
}

#[test]
fn requests_of_one_segment_are_handed_on_one_by_one() {
    let get = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_vec();
    let chunked =
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nx: y\r\n\r\n"
            .to_vec();
    let requests = vec![get.clone(), post, chunked, get];
    let outcome = read_at_once(&requests.concat());
    assert_eq!(outcome.requests, requests);
    assert_eq!(outcome.refusal, None);
}

#[test]
fn nothing_of_what_follows_a_refusal_is_handed_on() {
    let good = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let outcome = read_at_once(&[&good[..], b"GET / HTTP/1.1\r\n\r\n", good].concat());
    assert_eq!(outcome.requests, [good.to_vec()]);
    assert_eq!(outcome.refusal, Some(M::Host.into()));
}

#[test]
fn what_begins_no_request_is_none_behind_an_empty_line_either() {
    let bytes = b"\r\n\0x\nGET / HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(refused(bytes), M::RequestLine.into());
    let each = judge_bytes(bytes.iter().map(|byte| vec![*byte]), 64);
    assert_eq!(each, read_at_once(bytes), "however it arrives");
}

#[test]
fn a_request_line_is_three_words() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /",
        "GET",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/11",
        "GET / HTTP/1",
        "GET / HTTPS/1.1",
        "GET / HTTP/x.1",
        "\u{e9} / HTTP/1.1",
    ] {
        let head = format!("{line}\r\nhost: a\r\n\r\n");
        assert_eq!(refused(head.as_bytes()), M::RequestLine.into(), "{line}");
    }
    for version in ["2.0", "0.9", "3.1"] {
        let head = format!("GET / HTTP/{version}\r\nhost: a\r\n\r\n");
        assert_eq!(refused(head.as_bytes()), M::Version.into(), "{version}");
    }
}

#[test]
fn a_target_is_printable_and_of_a_form_that_its_method_has() {
    for target in [
        &b"*"[..],
        b"a",
        b"a/b",
        b"/\0",
        b"/\x80",
        b"/\xc0\xaf",
        b"/\x7f",
        b"/a#b",
        b"ftp://a/",
        b"http:/a",
        b"http://",
        b"http:///a",
        b"http://u@a/",
        b"http://a b/",
        b"http://a,b/",
        b"http://a:x/",
    ] {
        let head = [b"GET ", target, b" HTTP/1.1\r\nhost: a\r\n\r\n"].concat();
        let refusal = refused(&head);
        let expected = [M::Target.into(), M::RequestLine.into()];
        assert!(
            expected.contains(&refusal),
            "{}: {refusal:?}",
            target.escape_ascii()
        );
    }
    let options = b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(read_at_once(options).requests, [options.to_vec()]);
    assert_eq!(
        refused(b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n"),
        M::Connect.into()
    );
}

#[test]
fn an_absolute_target_is_served_by_its_path_and_a_later_minor_version_as_the_known_one() {
    for (line, seen) in [
        ("GET http://b/v1?x=1 HTTP/1.1", "GET /v1?x=1 HTTP/1.1"),
        ("GET HTTPS://b.example:443/ HTTP/1.1", "GET / HTTP/1.1"),
        ("GET http://b HTTP/1.1", "GET / HTTP/1.1"),
        ("GET http://b?x HTTP/1.1", "GET /?x HTTP/1.1"),
        ("OPTIONS http://b HTTP/1.1", "OPTIONS * HTTP/1.1"),
        ("GET / HTTP/1.2", "GET / HTTP/1.1"),
        ("GET http://b/ HTTP/1.9", "GET / HTTP/1.1"),
        ("GET / HTTP/1.0", "GET / HTTP/1.0"),
    ] {
        let rest = "\r\nhost: a\r\ncontent-length: 2\r\n\r\nab";
        let next = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";
        let outcome = read_at_once(format!("\r\n{line}{rest}{next}").as_bytes());
        let expected = [format!("\r\n{seen}{rest}"), next.to_owned()];
        assert_eq!(outcome.requests, expected.map(String::into_bytes), "{line}");
    }
}

#[test]
fn a_field_that_could_be_read_in_two_ways_is_refused() {
    for (field, malformed) in [
        ("x", M::Field),
        (": x", M::Field),
        ("x : y", M::Field),
        ("x\t: y", M::Field),
        (" x: y", M::Field),
        ("x: y\r\n z", M::Field),
        ("x(y): z", M::Field),
        ("x: a\0b", M::Field),
        ("x: a\rb", M::Field),
        ("x: a\u{7f}", M::Field),
        ("x: y\nz: a", M::LineEnd),
        ("host: b", M::Host),
        ("content-length: 1\r\ncontent-length: 1", M::ContentLength),
        ("content-length: 1, 1", M::ContentLength),
        ("content-length: +1", M::ContentLength),
        ("content-length: -1", M::ContentLength),
        ("content-length: 0x1", M::ContentLength),
        ("content-length: 1 1", M::ContentLength),
        ("content-length:", M::ContentLength),
        ("content-length: 1000000000000000000", M::ContentLength),
        ("transfer-encoding: chunked, chunked", M::TransferEncoding),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            M::TransferEncoding,
        ),
        ("transfer-encoding: chunked, gzip", M::TransferEncoding),
        ("transfer-encoding: gzip", M::TransferEncoding),
        ("transfer-encoding: identity", M::TransferEncoding),
        ("transfer-encoding:", M::TransferEncoding),
        ("transfer-encoding: ,chunked", M::TransferEncoding),
        ("transfer-encoding: chunked;q=1", M::TransferEncoding),
        ("transfer-encoding: \"chunked\"", M::TransferEncoding),
        ("transfer-encoding: xchunked", M::TransferEncoding),
        ("transfer-encoding: gzip, chunked", M::TransferCoding),
        (
            "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
            M::TransferCoding,
        ),
        ("transfer-encoding: chunked\r\ncontent-length: 1", M::TwoFramings),
        ("content-length: 1\r\ntransfer-encoding: chunked", M::TwoFramings),
    ] {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n");
        assert_eq!(refused(head.as_bytes()), malformed.into(), "{field:?}");
    }
    let old = b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), M::TransferEncoding.into());
    assert_eq!(refused(b"GET / HTTP/1.0\r\n\r\n\n"), M::LineEnd.into());
    assert_eq!(
        refused(b"\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        M::RequestLine.into()
    );
    assert_eq!(
        refused(b"\x16\x03\x01\x02"),
        M::RequestLine.into(),
        "without a line end"
    );
}

#[test]
fn chunks_that_could_be_read_in_two_ways_are_refused() {
    for (body, malformed) in [
        ("\r\n", M::Chunk),
        ("5;\r\nhello\r\n0\r\n\r\n", M::Chunk),
        ("5;=a\r\n", M::Chunk),
        ("5;a=\r\n", M::Chunk),
        ("5;a\nb\r\n", M::Chunk),
        ("5;a\u{1}\r\n", M::Chunk),
        ("5;a=\"b\nc\"\r\n", M::Chunk),
        ("5 \r\nhello\r\n", M::Chunk),
        (" 5\r\nhello\r\n", M::Chunk),
        ("5 a\r\n", M::Chunk),
        ("5\nhello\n0\n\n", M::Chunk),
        ("5\rhello", M::Chunk),
        ("0x5\r\nhello\r\n", M::Chunk),
        ("+5\r\nhello\r\n", M::Chunk),
        ("-5\r\nhello\r\n", M::Chunk),
        ("g\r\n", M::Chunk),
        ("1000000000000000\r\n", M::Chunk),
        ("fffffffffffffffff\r\n", M::Chunk),
        ("5\r\nhello0\r\n\r\n", M::Chunk),
        ("5\r\nhello\n0\r\n\r\n", M::Chunk),
        ("3\r\nhello\r\n", M::Chunk),
        ("0\r\nx\r\n\r\n", M::Trailer),
        ("0\r\nx : y\r\n\r\n", M::Trailer),
        ("0\r\n x: y\r\n\r\n", M::Trailer),
        ("0\r\nx: y\n\r\n", M::Trailer),
        ("0\r\nx: y\r\n z\r\n\r\n", M::Trailer),
        ("0\r\nx: \0\r\n\r\n", M::Trailer),
        ("0\r\n\n", M::Trailer),
        ("0\r\n\rx", M::Trailer),
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        assert_eq!(refused(request.as_bytes()), malformed.into(), "{body:?}");
    }
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "005\r\nhello\r\n000\r\n\r\n",
        "A\r\n0123456789\r\n0\r\n\r\n",
        "5;a\r\nhello\r\n0;b=c\r\n\r\n",
        "5 ; a = \"b;\\\"\\r\" ;c\r\nhello\r\n0\r\n\r\n",
        "0\r\ncontent-length: 5\r\nx:\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n{body}");
        let outcome = read_at_once(request.as_bytes());
        assert_eq!(outcome.refusal, None, "{body:?}");
        assert!(outcome.is_whole, "{body:?}");
    }
}

#[test]
fn a_head_and_what_comes_beside_a_body_have_their_limits() {
    let head = |target: usize, value: usize| {
        let (target, value) = ("t".repeat(target), "v".repeat(value));
        format!("GET /{target} HTTP/1.1\r\nhost: a\r\nx: {value}\r\n\r\n").into_bytes()
    };
    let around = head(0, 0).len();
    let largest = head(0, MAX_HEAD_BYTES - around);
    assert_eq!(read_at_once(&largest).requests, [largest]);
    assert_eq!(refused(&head(0, MAX_HEAD_BYTES - around + 1)), Refusal::TooLarge);
    assert_eq!(refused(&head(MAX_HEAD_BYTES, 0)), M::TargetTooLong.into());
    assert_eq!(refused(&vec![b'a'; MAX_HEAD_BYTES]), M::TargetTooLong.into());
    let fields = "x: y\r\n".repeat(257);
    assert_eq!(
        refused(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n").as_bytes()),
        M::TooManyFields.into()
    );
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let extensions = format!("1;a={}\r\nx\r\n", "b".repeat(1000)).repeat(20);
    assert_eq!(
        refused(format!("{chunked}{extensions}").as_bytes()),
        M::Chunk.into()
    );
    let trailers = format!("x: {}\r\n", "y".repeat(1000)).repeat(20);
    assert_eq!(
        refused(format!("{chunked}0\r\n{trailers}").as_bytes()),
        M::Trailer.into()
    );
}
