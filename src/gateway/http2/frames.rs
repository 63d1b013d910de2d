/// What every connection of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;
/// Length, type, flags and stream of a frame (section 4.1).
const HEAD_BYTES: usize = 9;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 8;
const END_HEADERS: u8 = 4;

/// Finds frames in what a client sends, whatever pieces it comes in. It judges nothing: the library does, of
/// which it tells nobody.
#[derive(Debug)]
pub(super) struct FrameReader {
    /// Bytes before the head of the next frame.
    rest: usize,
    head: [u8; HEAD_BYTES],
    /// How much of the head is there.
    filled: usize,
    /// Whether the frame that is coming leaves a header block unfinished; none where it belongs to none.
    ends_block: Option<bool>,
    is_in_block: bool,
}

/// What came, as far as it can be too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Streams that the client gave up.
    pub(super) resets: u32,
    /// Frames that ask for work and carry nothing: PING, SETTINGS, PRIORITY, and those that nobody knows.
    pub(super) controls: u32,
}

impl FrameReader {
    pub(super) const fn new() -> Self {
        Self {
            rest: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            filled: 0,
            ends_block: None,
            is_in_block: false,
        }
    }

    /// Takes the next bytes.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Seen {
        let mut seen = Seen::default();
        while !bytes.is_empty() {
            if self.rest > 0 {
                let passed = self.rest.min(bytes.len());
                bytes = bytes.get(passed..).unwrap_or_default();
                self.rest -= passed;
                self.end_frame();
                continue;
            }
            let missing = self.head.get_mut(self.filled..).unwrap_or_default();
            let (part, left) = bytes.split_at(missing.len().min(bytes.len()));
            for (place, byte) in missing.iter_mut().zip(part) {
                *place = *byte;
            }
            self.filled += part.len();
            bytes = left;
            if self.filled == HEAD_BYTES {
                self.begin_frame(&mut seen);
                self.end_frame();
            }
        }
        seen
    }

    /// Whether a header block has begun and is not complete.
    pub(super) const fn is_in_block(&self) -> bool {
        self.is_in_block
    }

    fn begin_frame(&mut self, seen: &mut Seen) {
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.rest = usize::try_from(length).unwrap_or(usize::MAX);
        self.filled = 0;
        match kind {
            HEADERS | PUSH_PROMISE | CONTINUATION => {
                self.ends_block = Some(flags & END_HEADERS != 0);
                self.is_in_block = true;
            }
            RST_STREAM => seen.resets += 1,
            DATA | WINDOW_UPDATE => {}
            _ => seen.controls += 1,
        }
    }

    fn end_frame(&mut self) {
        if self.rest == 0 && self.ends_block.take() == Some(true) {
            self.is_in_block = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn frames_are_found_whatever_pieces_they_come_in() {
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for part in [
            frame(4, 0, &[0; 12]),
            frame(HEADERS, END_HEADERS, &[7; 300]),
            frame(DATA, 0, &[RST_STREAM; 70]),
            frame(RST_STREAM, 0, &[0; 4]),
            frame(6, 0, &[0; 8]),
            frame(WINDOW_UPDATE, 0, &[0; 4]),
            frame(4, 1, &[]),
            frame(RST_STREAM, 0, &[0; 4]),
        ] {
            sent.extend(part);
        }
        for piece in [1, 2, 9, 10, 64, sent.len()] {
            let mut reader = FrameReader::new();
            let mut all = Seen::default();
            for bytes in sent.chunks(piece) {
                let seen = reader.read(bytes);
                all.resets += seen.resets;
                all.controls += seen.controls;
            }
            assert_eq!((all.resets, all.controls), (2, 3), "in pieces of {piece}");
            assert!(!reader.is_in_block());
        }
    }

    #[test]
    fn a_header_block_is_complete_with_its_last_byte() {
        let mut reader = FrameReader::new();
        reader.read(&[0; PREFACE_BYTES]);
        reader.read(&frame(HEADERS, 0, &[7; 10]));
        assert!(reader.is_in_block());
        reader.read(&frame(CONTINUATION, 0, &[]));
        assert!(reader.is_in_block());
        let last = frame(CONTINUATION, END_HEADERS, &[7; 10]);
        reader.read(&last[..last.len() - 1]);
        assert!(reader.is_in_block());
        reader.read(&last[last.len() - 1..]);
        assert!(!reader.is_in_block());
        reader.read(&frame(HEADERS, END_HEADERS, &[]));
        assert!(
            !reader.is_in_block(),
            "one without a payload is complete with its head"
        );
    }
}
