//! Where a reply ends: it has to be said in one way only (RFC 9112 §6), or what follows it on its connection could
//! be taken for the answer to somebody else. hyper goes by one of several ways where there are some.

use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};

/// How many bytes may come before the header of a final answer is whole, those of interim answers among them.
pub(super) const MAX_HEAD_BYTES: usize = 256 * 1024;

/// Why a reply is not taken, although it may be HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
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

/// Refuses a final answer that says in more than one way where it ends, or how.
pub(super) fn check(status: StatusCode, headers: &HeaderMap) -> Result<(), ReplyFault> {
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
