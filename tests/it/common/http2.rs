//! A client of HTTP/2 that sends exactly the frames it is told, and sees every one that comes back.

use std::io::{Read, Write};

use super::envgate::Envgate;
use super::tls::{TlsClient, TlsStream};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub const HEADER_TABLE_SIZE: u16 = 1;
pub const INITIAL_WINDOW_SIZE: u16 = 4;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub struct Http2 {
    stream: TlsStream,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// How the other side took something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The connection was given up, with this reason; none where it was closed without one.
    ConnectionError(Option<u32>),
    /// The stream was reset, with this reason.
    StreamError(u32),
    /// There was an answer with this status.
    Answered(u16),
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// A header block, each field spelled out.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // Lengths over 126 go on in a second byte (RFC 7541, section 5.1).
            match u8::try_from(text.len()).ok().filter(|length| *length < 127) {
                Some(length) => block.push(length),
                None => {
                    let mut rest = text.len() - 127;
                    block.push(127);
                    while rest >= 128 {
                        block.push(u8::try_from(rest % 128).unwrap() | 128);
                        rest /= 128;
                    }
                    block.push(u8::try_from(rest).unwrap());
                }
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

impl Http2 {
    /// A connection on which nothing has been sent yet.
    pub fn open_silent(client: &TlsClient, envgate: &Envgate) -> Self {
        let stream = client.clone().speaking(&["h2"]).connect(envgate.gateway);
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
        Self { stream }
    }

    /// A connection that both sides have begun.
    pub fn open(client: &TlsClient, envgate: &Envgate) -> Self {
        // Without a table the status of every answer is spelled out.
        Self::open_with(client, envgate, &[(HEADER_TABLE_SIZE, 0)])
    }

    /// The same, where the client's settings are these.
    pub fn open_with(client: &TlsClient, envgate: &Envgate, settings: &[(u16, u32)]) -> Self {
        let mut connection = Self::open_silent(client, envgate);
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        connection.write(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat());
        let theirs = connection.read_frame().expect("settings come first");
        assert_eq!((theirs.kind, theirs.flags), (SETTINGS, 0));
        connection.write(&frame(SETTINGS, ACK, 0, &[]));
        connection
    }

    pub fn write(&mut self, bytes: &[u8]) {
        // The other side may have closed already; what it said is read next.
        let _ = self.try_write(bytes);
    }

    pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    pub fn write_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.write(&frame(kind, flags, stream, payload));
    }

    /// A whole request without a body.
    pub fn request(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.write_frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields));
    }

    /// The next frame; none where the connection is closed.
    pub fn read_frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            payload,
        })
    }

    /// The next frame of a kind; what comes before is passed over.
    #[track_caller]
    pub fn read_until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.read_frame().expect("the connection closed");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// How the other side took what was sent on a stream.
    pub fn taken(&mut self, stream: u32) -> Taken {
        while let Some(frame) = self.read_frame() {
            match frame.kind {
                GOAWAY if code(&frame.payload[4..]) != 0 => {
                    return Taken::ConnectionError(Some(code(&frame.payload[4..])));
                }
                RST_STREAM if frame.stream == stream => return Taken::StreamError(code(&frame.payload)),
                HEADERS if frame.stream == stream => return Taken::Answered(status(&frame.payload)),
                _ => {}
            }
        }
        Taken::ConnectionError(None)
    }

    /// Whether the other side answers a ping, and so takes the connection as good.
    #[track_caller]
    pub fn expect_alive(&mut self) {
        self.write_frame(PING, 0, 0, b"envgate?");
        let pong = self.read_until(PING);
        assert_eq!((pong.flags, pong.payload.as_slice()), (ACK, &b"envgate?"[..]));
    }

    /// Reads to the end of the connection; gives back the reason that it ended with, if one was given.
    pub fn end(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(frame) = self.read_frame() {
            if frame.kind == GOAWAY {
                reason = Some(code(&frame.payload[4..]));
            }
        }
        reason
    }
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

/// The status of an answer, which is the first field of its block: one of the static table, or three digits
/// with or without Huffman's code (RFC 7541, appendices A and B).
fn status(block: &[u8]) -> u16 {
    match block {
        // A new size of the table.
        [0x20..=0x3f, rest @ ..] => status(rest),
        [first @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)],
        [0x08 | 0x48 | 0x18, length, text @ ..] if length & 0x80 == 0 => {
            let digits = &text[..usize::from(*length)];
            std::str::from_utf8(digits).unwrap().parse().unwrap()
        }
        [0x08 | 0x48 | 0x18, length, text @ ..] => huffman_digits(&text[..usize::from(length & 0x7f)]),
        other => panic!("no status at the beginning of {other:?}"),
    }
}

/// `0`, `1` and `2` have five bits, the other digits six, from 011001 on.
fn huffman_digits(text: &[u8]) -> u16 {
    let bits: Vec<bool> = text
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .collect();
    let number = |bits: &[bool]| {
        bits.iter()
            .fold(0_u16, |number, bit| number << 1 | u16::from(*bit))
    };
    let (mut rest, mut status) = (bits.as_slice(), 0);
    while rest.len() >= 5 && rest.iter().any(|bit| !bit) {
        let short = number(&rest[..5]);
        let (digit, length) = if short < 3 {
            (short, 5)
        } else {
            (number(&rest[..6]) - 0b01_1001 + 3, 6)
        };
        status = status * 10 + digit;
        rest = &rest[length..];
    }
    status
}
