//! A body in chunks: their heads and the trailers, byte by byte; what they carry is passed over.

use super::fields::{is_field_byte, is_token_byte};
use crate::contract::MalformedRequest;

/// Up to here a size is taken. It is far beyond every limit of a body, and nobody's number overflows.
const MAX_SIZE_DIGITS: u8 = 15;
/// What may come with a body beside its data: extensions of its chunks, and trailers. Pingora takes twice as
/// much for one chunk.
const MAX_EXTRA_BYTES: usize = 4 * 1024;

/// How far a body was judged.
#[derive(Debug, Default)]
pub(super) struct ChunkScanner {
    state: State,
    size: u64,
    extra_bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    SizeStart,
    /// So many digits of a size have come.
    Size(u8),
    Extension(Extension),
    /// The line of the size is at its CR.
    SizeEnd,
    Data,
    DataEnd,
    DataLineEnd,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// The empty line at the end is at its CR.
    LastEnd,
}

/// What of an extension comes next: `; name = value`, blanks between them.
#[derive(Clone, Copy, Debug)]
enum Extension {
    /// A semicolon, after blanks.
    Blank,
    /// A semicolon or the end of the line, after quotes.
    Next,
    NameStart,
    Name,
    AfterName,
    ValueStart,
    Value,
    Quoted,
    Escaped,
}

impl ChunkScanner {
    /// Judges what comes next of a body. Gives back how many of the bytes are part of it, and whether it ends
    /// with them.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> (usize, Result<bool, MalformedRequest>) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if let State::Data = self.state {
                let left = bytes.len() - at;
                let taken = left.min(usize::try_from(self.size).unwrap_or(usize::MAX));
                self.size -= u64::try_from(taken).unwrap_or(self.size);
                at += taken;
                if self.size == 0 {
                    self.state = State::DataEnd;
                }
                continue;
            }
            match self.next(*byte) {
                Ok(false) => at += 1,
                Ok(true) => return (at + 1, Ok(true)),
                Err(malformed) => return (at, Err(malformed)),
            }
        }
        (at, Ok(false))
    }

    /// Takes one byte that is no data. Says whether it was the last.
    fn next(&mut self, byte: u8) -> Result<bool, MalformedRequest> {
        self.state = match (self.state, byte) {
            (State::SizeStart, _) => {
                self.size = 0;
                self.digit(0, byte)?
            }
            (State::Size(_), b'\r') => State::SizeEnd,
            (State::Size(_), b';') => self.extension(Extension::NameStart)?,
            (State::Size(_), b' ' | b'\t') => self.extension(Extension::Blank)?,
            (State::Size(digits), _) => self.digit(digits, byte)?,
            (State::Extension(extension), _) => match extension.next(byte) {
                Some(Some(next)) => self.extension(next)?,
                Some(None) => State::SizeEnd,
                None => return Err(MalformedRequest::Chunk),
            },
            (State::SizeEnd, b'\n') if self.size == 0 => State::TrailerStart,
            (State::SizeEnd, b'\n') => State::Data,
            (State::DataEnd, b'\r') => State::DataLineEnd,
            (State::DataLineEnd, b'\n') => State::SizeStart,
            (State::SizeEnd | State::Data | State::DataEnd | State::DataLineEnd, _) => {
                return Err(MalformedRequest::Chunk);
            }
            (State::TrailerStart, b'\r') => State::LastEnd,
            (State::LastEnd, b'\n') => return Ok(true),
            (State::TrailerName, b':') => self.trailer(State::TrailerValue)?,
            (State::TrailerStart | State::TrailerName, _) if is_token_byte(byte) => {
                self.trailer(State::TrailerName)?
            }
            (State::TrailerValue, b'\r') => self.trailer(State::TrailerEnd)?,
            (State::TrailerValue, _) if is_field_byte(byte) => self.trailer(State::TrailerValue)?,
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            _ => return Err(MalformedRequest::Trailer),
        };
        Ok(false)
    }

    fn digit(&mut self, digits: u8, byte: u8) -> Result<State, MalformedRequest> {
        let digit = char::from(byte).to_digit(16).filter(|_| digits < MAX_SIZE_DIGITS);
        self.size = (self.size << 4) | u64::from(digit.ok_or(MalformedRequest::Chunk)?);
        Ok(State::Size(digits + 1))
    }

    fn extension(&mut self, next: Extension) -> Result<State, MalformedRequest> {
        self.count(MalformedRequest::Chunk)?;
        Ok(State::Extension(next))
    }

    fn trailer(&mut self, next: State) -> Result<State, MalformedRequest> {
        self.count(MalformedRequest::Trailer)?;
        Ok(next)
    }

    const fn count(&mut self, otherwise: MalformedRequest) -> Result<(), MalformedRequest> {
        self.extra_bytes += 1;
        match self.extra_bytes <= MAX_EXTRA_BYTES {
            true => Ok(()),
            false => Err(otherwise),
        }
    }
}

impl Extension {
    /// What comes after this byte: none where it may not be there, and no extension where it ends the line.
    fn next(self, byte: u8) -> Option<Option<Self>> {
        let is_token = is_token_byte(byte);
        let next = match (self, byte) {
            (Self::Next | Self::Name | Self::Value, b'\r') => return Some(None),
            (Self::Blank | Self::Next | Self::Name | Self::AfterName | Self::Value, b';') => Self::NameStart,
            (Self::Blank | Self::Next | Self::Value, b' ' | b'\t') => Self::Blank,
            (Self::NameStart, b' ' | b'\t') => Self::NameStart,
            (Self::NameStart | Self::Name, _) if is_token => Self::Name,
            (Self::Name | Self::AfterName, b' ' | b'\t') => Self::AfterName,
            (Self::Name | Self::AfterName, b'=') => Self::ValueStart,
            (Self::ValueStart, b' ' | b'\t') => Self::ValueStart,
            (Self::ValueStart, b'"') => Self::Quoted,
            (Self::ValueStart | Self::Value, _) if is_token => Self::Value,
            (Self::Quoted, b'"') => Self::Next,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, _) if is_field_byte(byte) => Self::Quoted,
            _ => return None,
        };
        Some(Some(next))
    }
}
