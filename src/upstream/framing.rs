//! Where a reply ends: it has to be said in one way only (RFC 9112 §6), or what follows it on its connection could
//! be taken for the answer to somebody else.

use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};

/// How many bytes may come before the header of a final answer is whole, those of interim answers among them.
pub(super) const MAX_HEAD_BYTES: usize = 256 * 1024;

/// How the end of a reply's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// It has so many bytes.
    Length(u64),
    Chunks,
    /// The connection ends with it.
    Connection,
}

/// Why a reply is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    /// What came does not begin as one.
    #[error("it is not HTTP: {0}")]
    NotHttp(#[from] httparse::Error),
    /// Its `Content-Length` is no number, or several.
    #[error("its length is no number")]
    Length,
    /// Its chunks are none.
    #[error("its body is not in chunks, as it says")]
    Chunk,
    /// 101, and nobody had asked for another protocol.
    #[error("it goes over to another protocol, which nobody asked for")]
    OtherProtocol,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error("it has a length and a transfer coding")]
    LengthAndCoding,
    /// Another transfer coding than `chunked`, once.
    #[error("its transfer coding is not chunked alone")]
    TransferCoding,
    /// 204 or 304 with a body, which such a reply cannot have.
    #[error("it announces a body that its status cannot have")]
    ImpossibleBody,
    /// A header, or interim answers, without an end.
    #[error("its header, with the interim answers before it, is larger than {MAX_HEAD_BYTES} bytes")]
    EndlessHead,
}

/// How the end of a final answer is told.
pub(super) fn framing(
    is_http_10: bool,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Framing, ReplyFault> {
    check(status, headers)?;
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Length(0));
    }
    match (headers.contains_key(TRANSFER_ENCODING), is_http_10) {
        // HTTP/1.0 does not know it.
        (true, true) => Err(ReplyFault::TransferCoding),
        (true, false) => Ok(Framing::Chunks),
        (false, _) => Ok(length(headers)?.map_or(Framing::Connection, Framing::Length)),
    }
}

/// The length that is announced; the same one several times is one.
fn length(headers: &HeaderMap) -> Result<Option<u64>, ReplyFault> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for number in value.as_bytes().split(|byte| *byte == b',') {
            let number = parse_length(number.trim_ascii()).ok_or(ReplyFault::Length)?;
            if length.is_some_and(|length| length != number) {
                return Err(ReplyFault::Length);
            }
            length = Some(number);
        }
    }
    Ok(length)
}

fn parse_length(digits: &[u8]) -> Option<u64> {
    // A sign is a digit to `parse`, and to nobody else.
    let digits = std::str::from_utf8(digits).ok()?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// Refuses a final answer that says in more than one way where it ends, or how.
fn check(status: StatusCode, headers: &HeaderMap) -> Result<(), ReplyFault> {
    if status.is_informational() {
        return Err(ReplyFault::OtherProtocol);
    }
    let length = headers.get(CONTENT_LENGTH);
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        && (coding.is_some() || length.is_some_and(|length| length != "0"))
    {
        return Err(ReplyFault::ImpossibleBody);
    }
    match (coding, codings.next(), length) {
        (None, ..) => Ok(()),
        (Some(_), _, Some(_)) => Err(ReplyFault::LengthAndCoding),
        (Some(coding), None, None) if is_chunked(coding) => Ok(()),
        (Some(_), ..) => Err(ReplyFault::TransferCoding),
    }
}

fn is_chunked(coding: &HeaderValue) -> bool {
    coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(status: u16, fields: &[(&'static str, &'static str)]) -> Result<(), ReplyFault> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        check(StatusCode::from_u16(status).unwrap(), &headers)
    }

    fn framed(is_http_10: bool, fields: &[(&'static str, &'static str)]) -> Result<Framing, ReplyFault> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        framing(is_http_10, StatusCode::OK, &headers)
    }

    #[test]
    fn a_length_is_digits_and_the_same_wherever_it_stands() {
        for (value, length) in [
            ("0", 0),
            (" 12 ", 12),
            ("7, 7", 7),
            ("18446744073709551615", u64::MAX),
        ] {
            let framed = framed(false, &[("content-length", value)]);
            assert_eq!(framed, Ok(Framing::Length(length)), "{value}");
        }
        for value in [
            "",
            "+1",
            "-1",
            "0x10",
            "1 0",
            "7, 8",
            "7,",
            "18446744073709551616",
        ] {
            assert_eq!(
                framed(false, &[("content-length", value)]),
                Err(ReplyFault::Length),
                "{value}"
            );
        }
        let twice = |second| framed(false, &[("content-length", "7"), ("content-length", second)]);
        assert_eq!(
            (twice("7"), twice("8")),
            (Ok(Framing::Length(7)), Err(ReplyFault::Length))
        );
    }

    #[test]
    fn what_tells_no_end_ends_with_the_connection_and_http_1_0_has_no_chunks() {
        assert_eq!(framed(false, &[]), Ok(Framing::Connection));
        let chunked = [("transfer-encoding", "chunked")];
        assert_eq!(framed(false, &chunked), Ok(Framing::Chunks));
        assert_eq!(framed(true, &chunked), Err(ReplyFault::TransferCoding));
    }

    #[test]
    fn a_reply_says_in_one_way_where_it_ends() {
        for fields in [
            &[][..],
            &[("content-length", "2")],
            &[("transfer-encoding", "chunked")],
            &[("transfer-encoding", "Chunked ")],
        ] {
            assert_eq!(checked(200, fields), Ok(()), "{fields:?}");
        }
        for (fields, fault) in [
            (
                &[("content-length", "2"), ("transfer-encoding", "chunked")][..],
                ReplyFault::LengthAndCoding,
            ),
            (
                &[("transfer-encoding", "gzip, chunked")],
                ReplyFault::TransferCoding,
            ),
            (&[("transfer-encoding", "identity")], ReplyFault::TransferCoding),
            (&[("transfer-encoding", "")], ReplyFault::TransferCoding),
            (
                &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                ReplyFault::TransferCoding,
            ),
        ] {
            assert_eq!(checked(200, fields), Err(fault), "{fields:?}");
        }
    }

    #[test]
    fn a_status_without_a_body_announces_none() {
        for status in [204, 304] {
            assert_eq!(checked(status, &[]), Ok(()));
            assert_eq!(checked(status, &[("content-length", "0")]), Ok(()));
            for field in [("content-length", "2"), ("transfer-encoding", "chunked")] {
                assert_eq!(checked(status, &[field]), Err(ReplyFault::ImpossibleBody));
            }
        }
        assert_eq!(checked(101, &[]), Err(ReplyFault::OtherProtocol));
    }
}
