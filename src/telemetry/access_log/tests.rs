use std::io::{self, Write};

use parking_lot::Mutex;
use prometheus::IntCounter;
use serde_json::Value;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{fmt, registry};

use super::*;

const FORMATS: [LogFormat; 2] = [LogFormat::Text, LogFormat::Json];

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

fn line() -> AccessLine<'static> {
    AccessLine {
        request_id: "req_1",
        trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
        client: Some("192.0.2.10".parse().unwrap()),
        tenant: Some("acme"),
        key: Some("sk-eg-abcdefgh"),
        operation: Some("update"),
        status: 409,
        error: Some("upstream"),
        total: Duration::from_nanos(12_345_678),
        upstream: Duration::from_millis(10),
        waited: Duration::ZERO,
        client_time: Duration::from_micros(1_200),
        own: Duration::from_secs(100_000),
        sample_ratio: None,
    }
}

/// The line as it is written at a moment.
fn written(line: &AccessLine<'_>, format: LogFormat, now: Duration) -> String {
    let mut scratch = Scratch {
        bytes: Vec::new(),
        second: 0,
        date: String::new(),
    };
    scratch.write(line, format, now);
    String::from_utf8(scratch.bytes).unwrap()
}

/// What the log's own formatter makes of an event with the same fields.
fn as_event(line: &AccessLine<'_>, format: LogFormat) -> String {
    let sink = Sink::default();
    let to = sink.clone();
    let layer = fmt::layer().with_ansi(false).with_writer(move || to.clone());
    let log = || {
        tracing::info!(
            target: "envgate::access",
            request_id = line.request_id,
            trace_id = format!("{:032x}", line.trace_id).as_str(),
            client = line.client.map(tracing::field::display),
            tenant = line.tenant,
            key = line.key,
            operation = line.operation,
            status = line.status,
            error = line.error,
            duration_ms = milliseconds(line.total),
            upstream_ms = milliseconds(line.upstream),
            waited_ms = milliseconds(line.waited),
            client_ms = milliseconds(line.client_time),
            own_ms = milliseconds(line.own),
            sample_ratio = line.sample_ratio.map(|ratio| ratio.to_string().parse::<f64>().unwrap()),
            "request"
        );
    };
    match format {
        LogFormat::Text => tracing::subscriber::with_default(registry().with(layer), log),
        LogFormat::Json => {
            tracing::subscriber::with_default(registry().with(layer.json().flatten_event(true)), log);
        }
    }
    sink.text()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// A line without its time.
fn timeless(line: &str) -> String {
    const TIME: usize = "2026-01-01T00:00:00.000000Z".len();
    let begin = line.find("20").unwrap();
    format!("{}{}", &line[..begin], &line[begin + TIME..])
}

#[test]
fn a_line_looks_as_if_the_log_had_written_it() {
    let (now, plain) = (Duration::from_secs(1_780_048_800), line());
    let lines = [
        plain,
        AccessLine {
            client: Some("2001:db8::1".parse().unwrap()),
            tenant: None,
            key: None,
            operation: None,
            error: None,
            status: 200,
            sample_ratio: Ratio::parse("0.25"),
            total: Duration::from_nanos(999_999_500),
            upstream: Duration::from_nanos(499),
            own: Duration::from_micros(20_030),
            ..plain
        },
        AccessLine {
            client: None,
            request_id: "a\"b\\c",
            tenant: Some("für 東京\n\u{1b}[2J"),
            ..plain
        },
    ];
    for (line, format) in lines.iter().flat_map(|line| FORMATS.map(|format| (line, format))) {
        assert_eq!(
            timeless(&written(line, format, now)),
            timeless(&as_event(line, format))
        );
    }
}

#[test]
fn no_text_breaks_a_line_or_steers_a_terminal() {
    let line = AccessLine {
        tenant: Some("a\nb\u{202e}c\u{1b}[31m\""),
        ..line()
    };
    for format in FORMATS {
        let written = written(&line, format, Duration::ZERO);
        assert!(
            written.ends_with('\n') && written.matches('\n').count() == 1,
            "{written:?}"
        );
        assert!(!written.contains('\u{1b}'), "{written:?}");
    }
    assert!(!written(&line, LogFormat::Text, Duration::ZERO).contains('\u{202e}'));
    let json = written(&line, LogFormat::Json, Duration::ZERO);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["tenant"], "a\nb\u{202e}c\u{1b}[31m\"");
}

#[test]
fn the_time_is_the_clocks_whatever_the_line_before_said() {
    let mut scratch = Scratch {
        bytes: Vec::new(),
        second: 0,
        date: String::new(),
    };
    for (now, expected) in [
        (Duration::ZERO, "1970-01-01T00:00:00.000000Z"),
        (
            Duration::from_micros(1_780_048_800_000_042),
            "2026-05-29T10:00:00.000042Z",
        ),
        (
            Duration::from_micros(1_780_048_800_999_999),
            "2026-05-29T10:00:00.999999Z",
        ),
        (
            Duration::from_micros(1_780_048_799_999_999),
            "2026-05-29T09:59:59.999999Z",
        ),
        (
            Duration::from_micros(951_782_400_000_001),
            "2000-02-29T00:00:00.000001Z",
        ),
    ] {
        scratch.write(&line(), LogFormat::Text, now);
        let text = str::from_utf8(&scratch.bytes).unwrap();
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn lines_are_written_only_while_somebody_wants_them() {
    let sink = Sink::default();
    let lost = IntCounter::new("lost", "lost").unwrap();
    let lines = Arc::new(LineWriter::spawn("test", sink.clone(), 1 << 16, lost.clone()).unwrap());
    let log = AccessLog::new(Arc::clone(&lines), 1 << 10, LogFormat::Text);
    log.write(&line());
    log.enable(false);
    log.write(&line());
    assert_eq!(lines.flush(Duration::from_secs(20)), 0);
    assert_eq!(sink.text().lines().count(), 1);
    assert_eq!(lost.get(), 0, "what nobody wants is not lost");
}
