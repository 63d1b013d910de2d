use std::mem::MaybeUninit;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};

use super::framing::{self, Framing, ReplyFault};

/// The upstream's whole answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// The head of a reply.
pub(super) struct ReplyHead {
    pub(super) status: StatusCode,
    /// None of an interim answer: it goes nowhere.
    pub(super) headers: HeaderMap,
    /// How many bytes it has.
    pub(super) length: usize,
    is_http_10: bool,
}

const MAX_FIELDS: usize = 100;

impl ReplyHead {
    /// Reads the head that the bytes begin with; none where it is not whole.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, ReplyFault> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let status = parser.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields)?;
        let httparse::Status::Complete(length) = status else {
            return Ok(None);
        };
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let mut head = Self {
            status: status.ok_or(httparse::Error::Status)?,
            headers: HeaderMap::new(),
            length,
            is_http_10: parsed.version == Some(0),
        };
        if !head.is_interim() {
            head.add(parsed.headers, bytes.get(..length).unwrap_or_default())?;
        }
        Ok(Some(head))
    }

    /// One piece of memory for all values.
    fn add(&mut self, fields: &[httparse::Header<'_>], head: &[u8]) -> Result<(), ReplyFault> {
        let text = Bytes::copy_from_slice(head);
        self.headers.reserve(fields.len());
        for field in fields {
            let name =
                HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
            let start = field.value.as_ptr().addr().saturating_sub(head.as_ptr().addr());
            let value = text.slice(start..start + field.value.len());
            let value = HeaderValue::from_maybe_shared(value).map_err(|_| httparse::Error::HeaderValue)?;
            self.headers.append(name, value);
        }
        Ok(())
    }

    /// Whether a final answer is still to come.
    pub(super) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// How the end of the body is told.
    pub(super) fn framing(&self) -> Result<Framing, ReplyFault> {
        framing::framing(self.is_http_10, self.status, &self.headers)
    }

    /// Whether the upstream leaves the connection open for another request.
    pub(super) fn leaves_open(&self) -> bool {
        let mut says = [false; 2];
        for value in self.headers.get_all(CONNECTION) {
            let options = value
                .as_bytes()
                .split(|byte| *byte == b',')
                .map(<[u8]>::trim_ascii);
            for option in options {
                says[0] |= option.eq_ignore_ascii_case(b"close");
                says[1] |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        let [closes, keeps] = says;
        !closes && (keeps || !self.is_http_10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(fields: &str) -> ReplyHead {
        let head = format!("HTTP/1.{fields}\r\n\r\nrest");
        let parsed = ReplyHead::parse(head.as_bytes()).unwrap().unwrap();
        assert_eq!(parsed.length, head.len() - "rest".len());
        parsed
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = "HTTP/1.1 201 Made\r\nContent-Length: 2\r\nx: \u{e9} \r\nX:\r\n\r\n";
        for length in 0..text.len() {
            assert!(
                ReplyHead::parse(&text.as_bytes()[..length]).unwrap().is_none(),
                "{length}"
            );
        }
        let head = ReplyHead::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((head.status, head.length), (StatusCode::CREATED, text.len()));
        assert_eq!(head.framing(), Ok(Framing::Length(2)));
        let values: Vec<_> = head.headers.get_all("x").iter().collect();
        assert_eq!(values, ["\u{e9}", ""]);
    }

    #[test]
    fn the_upstream_says_whether_the_connection_stays() {
        for (fields, stays) in [
            ("1 200 OK", true),
            ("1 200 OK\r\nconnection: a, Close", false),
            ("1 200 OK\r\nconnection: close\r\nconnection: keep-alive", false),
            ("0 200 OK", false),
            ("0 200 OK\r\nconnection: Keep-Alive", true),
        ] {
            assert_eq!(parsed(fields).leaves_open(), stays, "{fields}");
        }
    }

    #[test]
    fn more_fields_than_anybody_needs_are_refused() {
        let fields = |count| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(ReplyHead::parse(fields(MAX_FIELDS).as_bytes()).is_ok());
        let fault = ReplyHead::parse(fields(MAX_FIELDS + 1).as_bytes()).err();
        assert_eq!(fault, Some(ReplyFault::NotHttp(httparse::Error::TooManyHeaders)));
    }
}
