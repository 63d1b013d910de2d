//! What is handed on of a connection is one request after the other, each of which a parser that knows nothing of ours
//! understands in the same way; however the bytes arrive.

use envgate::gateway::{JudgedRequests, judge_bytes};

use crate::spelling::Speller;

/// Pieces of which requests are made, good ones and bad ones.
const WORDS: [&str; 40] = [
    "GET ",
    "POST ",
    "OPTIONS ",
    "CONNECT ",
    "/v1/environments",
    "*",
    "http://b/",
    "http://b?q",
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
    "x:\r\n y\r\n",
    "hello",
    "5\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nx: y\r\n\r\n",
    "5;a=\"b\\\"\"\r\nhello\r\n",
    "5;\r\n",
    "00000005\r\nhello\r\n",
    "\0",
    "\u{e9}",
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    "POST http://b HTTP/1.2\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
];
const BUFFER_BYTES: usize = 1 << 16;

/// The bytes as they are, or, where they begin at 0x80 or above, the words that they name.
pub(super) fn check(bytes: &[u8]) {
    let sent = match bytes.split_first() {
        Some((first, rest)) if *first >= 0x80 => spell(rest),
        _ => bytes.to_vec(),
    };
    let whole = judge_bytes([sent.clone()], BUFFER_BYTES);
    let each = judge_bytes(sent.iter().map(|byte| vec![*byte]), BUFFER_BYTES);
    assert_eq!(each, whole, "byte by byte");
    let size = 1 + bytes.len() % 7;
    let in_pieces = judge_bytes(sent.chunks(size).map(<[u8]>::to_vec), 1 + bytes.len() % 50);
    assert_eq!(in_pieces, whole, "{size} bytes at a time");
    check_requests(&whole, &sent);
}

fn spell(bytes: &[u8]) -> Vec<u8> {
    let mut speller = Speller::new(bytes);
    let mut text = Vec::new();
    while !speller.is_spent() {
        text.extend_from_slice(speller.one_of(&WORDS).as_bytes());
    }
    text
}

fn check_requests(judged: &JudgedRequests, sent: &[u8]) {
    let count = judged.requests.len();
    for (index, request) in judged.requests.iter().enumerate() {
        let is_last = index + 1 == count;
        let left = length_of(request).unwrap_or_else(|reason| panic!("{reason}: {}", request.escape_ascii()));
        match left {
            Some(length) => assert_eq!(length, request.len(), "{}", request.escape_ascii()),
            None => assert!(is_last && !judged.is_whole, "{}", request.escape_ascii()),
        }
    }
    if !judged.is_refused() && !sent.is_empty() && judged.is_whole {
        assert!(
            count > 0 || sent.iter().all(|byte| matches!(byte, b'\r' | b'\n')),
            "all of it is somewhere"
        );
    }
}

/// How long a request is; none where more of it is to come.
fn length_of(request: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut fields = [httparse::EMPTY_HEADER; 300];
    let mut head = httparse::Request::new(&mut fields);
    let start = match head.parse(request) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Err("a head is handed on before it is whole"),
        Err(_) => return Err("no head"),
    };
    let target = head.path.unwrap_or_default();
    if !(target.starts_with('/') || target == "*") || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the target is no path");
    }
    let values = |name: &str| {
        let fields = head
            .headers
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| field.value).collect::<Vec<_>>()
    };
    let hosts = values("host");
    if hosts.len() > 1
        || (head.version == Some(1) && hosts.is_empty())
        || hosts.iter().any(|host| host.is_empty())
    {
        return Err("not one host");
    }
    let rest = &request[start..];
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    let body = match (&lengths[..], &codings[..]) {
        ([], []) => Some(0),
        ([length], []) => {
            let length = std::str::from_utf8(length)
                .ok()
                .and_then(|text| text.parse::<usize>().ok());
            let length = length.ok_or("no length")?;
            (rest.len() >= length).then_some(length)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => length_of_chunks(rest)?,
        _ => return Err("two framings"),
    };
    Ok(body.map(|body| start + body))
}

fn length_of_chunks(body: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut at = 0;
    loop {
        let (line, size) = match httparse::parse_chunk_size(&body[at..]) {
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("no chunk size"),
        };
        at += line;
        if size == 0 {
            break;
        }
        let end = at.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        match body.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => at = end + 2,
            Some(_) => return Err("a chunk longer than its size"),
            None => return Ok(None),
        }
    }
    let mut trailers = [httparse::EMPTY_HEADER; 300];
    match httparse::parse_headers(&body[at..], &mut trailers) {
        Ok(httparse::Status::Complete((length, _))) => Ok(Some(at + length)),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err("no trailers"),
    }
}
