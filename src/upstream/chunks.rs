//! A reply's body in chunks (RFC 9112 §7.1), as strictly as it can be read: what one reader takes for data
//! another must not take for a size.

use super::framing::ReplyFault;

/// Beyond every limit of a body, and nobody's number overflows.
const MAX_SIZE_DIGITS: u8 = 15;
/// What may come with a body beside its data: extensions of its chunks, and trailers.
const MAX_EXTRA_BYTES: usize = 16 * 1024;
const MAX_TRAILERS: usize = 100;

/// How far a body was read.
#[derive(Debug, Default)]
pub(super) struct ChunkDecoder {
    state: State,
    size: u64,
    extra_bytes: usize,
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    SizeStart,
    /// So many digits of a size have come.
    Size(u8),
    /// Blanks after a size.
    Blank,
    Extension,
    /// The line of the size is at its CR.
    SizeEnd,
    Data,
    DataEnd,
    DataLineEnd,
    /// A trailer, or the empty line at the end.
    TrailerStart,
    Trailer,
    TrailerEnd,
    /// The empty line at the end is at its CR.
    LastEnd,
}

/// What comes of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// How many of them are part of the body.
    pub(super) taken: usize,
    /// Whether it ends with them.
    pub(super) is_end: bool,
}

impl ChunkDecoder {
    /// Adds the data of what comes next to `data`, as long as that has at most `limit` bytes; none where it
    /// would have more.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        data: &mut Vec<u8>,
        limit: usize,
    ) -> Result<Option<Decoded>, ReplyFault> {
        let mut rest = bytes;
        while let [first, following @ ..] = rest {
            if let State::Data = self.state {
                let length = rest.len().min(usize::try_from(self.size).unwrap_or(usize::MAX));
                let (chunk, after) = rest.split_at(length);
                if data.len().saturating_add(length) > limit {
                    return Ok(None);
                }
                data.extend_from_slice(chunk);
                self.size -= u64::try_from(length).unwrap_or(self.size);
                if self.size == 0 {
                    self.state = State::DataEnd;
                }
                rest = after;
                continue;
            }
            rest = following;
            if self.next(*first)? {
                let taken = bytes.len() - rest.len();
                return Ok(Some(Decoded { taken, is_end: true }));
            }
        }
        Ok(Some(Decoded {
            taken: bytes.len(),
            is_end: false,
        }))
    }

    /// Takes one byte that is no data. Says whether it was the last.
    fn next(&mut self, byte: u8) -> Result<bool, ReplyFault> {
        self.state = match (self.state, byte) {
            (State::SizeStart, _) => {
                self.size = 0;
                self.digit(0, byte)?
            }
            (State::Size(_) | State::Blank | State::Extension, b'\r') => State::SizeEnd,
            (State::Size(_) | State::Blank, b';') => self.extra(State::Extension)?,
            (State::Size(_) | State::Blank, b' ' | b'\t') => self.extra(State::Blank)?,
            (State::Size(digits), _) => self.digit(digits, byte)?,
            (State::Blank, _) | (State::Extension, b'\n') => return Err(ReplyFault::Chunk),
            (State::Extension, _) => self.extra(State::Extension)?,
            (State::SizeEnd, b'\n') if self.size == 0 => State::TrailerStart,
            (State::SizeEnd, b'\n') => State::Data,
            (State::DataEnd, b'\r') => State::DataLineEnd,
            (State::DataLineEnd, b'\n') => State::SizeStart,
            (State::SizeEnd | State::Data | State::DataEnd | State::DataLineEnd, _) => {
                return Err(ReplyFault::Chunk);
            }
            (State::TrailerStart, b'\r') => State::LastEnd,
            (State::TrailerStart | State::Trailer, _) => {
                self.trailers.push(byte);
                self.extra(match byte {
                    b'\r' => State::TrailerEnd,
                    _ => State::Trailer,
                })?
            }
            (State::TrailerEnd, b'\n') => {
                self.trailers.push(byte);
                State::TrailerStart
            }
            (State::LastEnd, b'\n') => {
                self.check_trailers()?;
                return Ok(true);
            }
            (State::TrailerEnd | State::LastEnd, _) => return Err(ReplyFault::Chunk),
        };
        Ok(false)
    }

    fn digit(&mut self, digits: u8, byte: u8) -> Result<State, ReplyFault> {
        let digit = char::from(byte).to_digit(16).filter(|_| digits < MAX_SIZE_DIGITS);
        let digit = digit.ok_or(ReplyFault::Chunk)?;
        self.size = self.size * 16 + u64::from(digit);
        Ok(State::Size(digits + 1))
    }

    fn extra(&mut self, next: State) -> Result<State, ReplyFault> {
        self.extra_bytes += 1;
        match self.extra_bytes > MAX_EXTRA_BYTES {
            true => Err(ReplyFault::Chunk),
            false => Ok(next),
        }
    }

    /// They go nowhere, but what is no trailer may be the begin of another reply.
    fn check_trailers(&mut self) -> Result<(), ReplyFault> {
        if self.trailers.is_empty() {
            return Ok(());
        }
        self.trailers.extend_from_slice(b"\r\n");
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        match httparse::parse_headers(&self.trailers, &mut fields) {
            Ok(httparse::Status::Complete((length, _))) if length == self.trailers.len() => Ok(()),
            _ => Err(ReplyFault::Chunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of a body that comes in pieces of so many bytes, and how much of it was taken.
    fn decoded(body: &str, piece: usize) -> Result<Option<(String, usize)>, ReplyFault> {
        let mut decoder = ChunkDecoder::default();
        let (mut data, mut taken) = (Vec::new(), 0);
        for piece in body.as_bytes().chunks(piece) {
            let decoded = decoder.decode(piece, &mut data, 100)?.unwrap();
            taken += decoded.taken;
            if decoded.is_end {
                return Ok(Some((String::from_utf8(data).unwrap(), taken)));
            }
        }
        Ok(None)
    }

    #[test]
    fn data_comes_out_the_same_in_whatever_pieces_it_came() {
        for body in [
            "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "3 ;a=\"b\";c\r\nabc\r\n02\t\r\nde\r\n0;last\r\n\r\n",
            "5\r\nabcde\r\n000\r\na: b\r\nc:\r\n\r\n",
        ] {
            for piece in 1..=body.len() {
                let expected = Some(("abcde".to_owned(), body.len()));
                assert_eq!(decoded(body, piece), Ok(expected), "{body:?} by {piece}");
            }
        }
    }

    #[test]
    fn nothing_after_the_end_is_taken() {
        let body = "1\r\na\r\n0\r\n\r\n";
        let followed = format!("{body}HTTP/1.1 200 OK\r\n");
        assert_eq!(decoded(&followed, 100), Ok(Some(("a".to_owned(), body.len()))));
        assert_eq!(decoded(&body[..body.len() - 1], 100), Ok(None));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for body in [
            "\r\n",
            "zz\r\n",
            "+2\r\n",
            "-2\r\n",
            "0x2\r\n",
            "2 2\r\n",
            "2\n{}",
            "2;a\nb\r\n",
            "2\rx",
            "1\r\n{}",
            "1\r\na\n",
            "1\r\na\rx",
            "1000000000000000\r\n",
            "0\r\na\r\n\r\n",
            "0\r\n: a\r\n\r\n",
            "0\r\na b: c\r\n\r\n",
            "0\r\na: b\rc\r\n",
            "0\r\n\rx",
        ] {
            for piece in [1, 100] {
                assert_eq!(
                    decoded(body, piece),
                    Err(ReplyFault::Chunk),
                    "{body:?} by {piece}"
                );
            }
        }
        let extension = format!("1;{}", "a".repeat(MAX_EXTRA_BYTES));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(MAX_TRAILERS + 1) + "\r\n");
        for body in [extension, trailers] {
            assert_eq!(decoded(&body, 1000), Err(ReplyFault::Chunk));
        }
    }

    #[test]
    fn more_data_than_allowed_is_told_before_it_is_kept() {
        let mut data = Vec::new();
        let decoded = ChunkDecoder::default().decode(b"ff\r\nabcdefgh", &mut data, 7);
        assert_eq!(decoded, Ok(None));
        assert!(data.is_empty());
    }
}
