use std::io::{PipeReader, Read, pipe};
use std::sync::mpsc;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn lost() -> IntCounter {
    IntCounter::new("lost", "lost").unwrap()
}

/// Takes a few bytes, fails once, and then takes all.
struct Failing {
    to: std::io::PipeWriter,
    writes: usize,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        match self.writes {
            1 => self.to.write(&bytes[..7]),
            2 => Err(ErrorKind::StorageFull.into()),
            _ => self.to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes nothing before it is released.
struct Stuck {
    to: std::io::PipeWriter,
    is_released: mpsc::Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.is_released.recv();
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read_to_end(mut reader: PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn lines_are_written_in_their_order() {
    let (reader, sink) = pipe().unwrap();
    let writer = LineWriter::spawn("test", sink, 1024, lost()).unwrap();
    (0..20).for_each(|number| writer.push(format!("{number}\n").as_bytes()));
    assert_eq!(writer.flush(PATIENCE), 0);
    drop(writer);
    let expected: String = (0..20).map(|number| format!("{number}\n")).collect();
    assert_eq!(read_to_end(reader), expected);
}

#[test]
fn what_is_left_when_the_writer_goes_is_written() {
    let (reader, sink) = pipe().unwrap();
    let writer = LineWriter::spawn("test", sink, 1024, lost()).unwrap();
    writer.push(b"last\n");
    drop(writer);
    assert_eq!(read_to_end(reader), "last\n");
}

#[test]
fn nobody_waits_for_a_file_that_is_stuck_and_each_line_that_does_not_fit_is_counted() {
    let (reader, to) = pipe().unwrap();
    let (release, is_released) = mpsc::channel();
    let lost = lost();
    let writer = LineWriter::spawn("test", Stuck { to, is_released }, 1000, lost.clone()).unwrap();
    let line = [b"x".repeat(99), b"\n".to_vec()].concat();
    writer.push(&line);
    assert_eq!(writer.flush(Duration::ZERO), 1);
    let pushed = 10_000;
    (1..pushed).for_each(|_| writer.push(&line));
    assert!(
        lost.get() >= pushed - 21,
        "a buffer waits and another is being written: {}",
        lost.get()
    );
    assert!(writer.flush(Duration::ZERO) >= 10);
    drop(release);
    drop(writer);
    let read = read_to_end(reader).lines().count();
    assert_eq!(
        u64::try_from(read).unwrap() + lost.get(),
        pushed,
        "written or counted"
    );
}

#[test]
fn a_line_that_was_torn_is_lost_and_does_not_spoil_the_next() {
    let (reader, to) = pipe().unwrap();
    let lost = lost();
    let writer = LineWriter::spawn("test", Failing { to, writes: 0 }, 1024, lost.clone()).unwrap();
    writer.push(b"one\ntwo\nthree\n");
    assert_eq!(writer.flush(PATIENCE), 0, "given up is not waiting");
    assert_eq!(lost.get(), 2);
    writer.push(b"four\n");
    assert_eq!(writer.flush(PATIENCE), 0);
    drop(writer);
    assert_eq!(read_to_end(reader), "one\ntwo\nfour\n");
}
