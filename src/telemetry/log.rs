use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::IntCounter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{Directive, EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context as LayerContext, Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry};

use super::LineWriter;
use crate::config::{Log, LogFormat};

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` is not understood.
    #[error("log.level is neither a level nor a list of directives: {0}")]
    Level(#[from] ParseError),
    /// The process has a log already.
    #[error(transparent)]
    Started(#[from] TryInitError),
    /// There is nothing to write to, or no thread to do it.
    #[error("the log cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// Pingora tells of each client that hung up as an error, and at `debug` prints request headers whole,
/// credentials included; rustls and h2 warn of whatever odd a client sends, who may be anybody. No setting brings
/// those back.
const CAPPED: [&str; 4] = [
    "pingora_core=error",
    "pingora_http=error",
    "rustls=error",
    "h2=error",
];
/// How much may wait for whoever reads standard error: some thousand lines.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// How much of that the access log may take, so that it crowds no warning out.
const MAX_ACCESS_BYTES: usize = MAX_WAITING_BYTES / 4 * 3;
/// What a line for a request is about.
const ACCESS_LOG: &str = "envgate::access";
/// How long the last lines may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The log of the process. Whoever drops it waits a moment for the last lines.
#[derive(Debug)]
pub struct RunningLog {
    lines: Arc<LineWriter>,
    filter: SharedFilter,
}

impl RunningLog {
    /// Logs what is of this level, or what these directives say, from now on.
    ///
    /// # Errors
    /// [`LogError::Level`]
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        self.filter.0.store(Arc::new(filter(level)?));
        // Each place in the code that logs has kept what the filter from before said to it.
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Waits until what was logged so far is written, but never long.
    pub fn flush(&self) {
        self.lines.flush(FLUSH_TIMEOUT);
    }
}

impl Drop for RunningLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Starts the log of the process, on standard error, where records of the `log` crate and messages of panics
/// go too. Nobody who logs waits for standard error: lines that it does not take are lost, and counted in
/// `lost`.
///
/// # Errors
/// [`LogError`] where the level is not understood, or a log was started before.
pub fn start_log(settings: &Log, lost: IntCounter) -> Result<RunningLog, LogError> {
    let filter = SharedFilter(Arc::new(ArcSwap::from_pointee(filter(&settings.level)?)));
    // A descriptor of its own: the lock of Rust's standard error would be held for as long as a write takes.
    let sink = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let lines = Arc::new(LineWriter::spawn("log", sink, MAX_WAITING_BYTES, lost)?);
    let layer = layer(settings.format, Arc::clone(&lines));
    // try_init also routes the records of the `log` crate, Pingora's and rustls' among them, into tracing.
    registry().with(layer.with_filter(filter.clone())).try_init()?;
    panic::set_hook(Box::new(log_panic));
    Ok(RunningLog { lines, filter })
}

fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    let mut filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(level)?;
    for directive in CAPPED {
        filter = filter.add_directive(directive.parse::<Directive>()?);
    }
    Ok(filter)
}

/// What is logged, which may become something else while others log. The library's own way to change it takes a
/// lock for each line. Directives about spans are none that the settings take.
#[derive(Clone, Debug)]
struct SharedFilter(Arc<ArcSwap<EnvFilter>>);

impl<S: Subscriber> Filter<S> for SharedFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &LayerContext<'_, S>) -> bool {
        Filter::<S>::enabled(&**self.0.load(), metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        Filter::<S>::callsite_enabled(&**self.0.load(), metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&**self.0.load())
    }
}

/// What makes lines of events.
fn layer<S>(format: LogFormat, lines: Arc<LineWriter>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let writer = EventWriter {
        lines,
        is_text: format == LogFormat::Text,
        max_bytes: MAX_WAITING_BYTES,
    };
    let layer = fmt::layer().with_ansi(false).log_internal_errors(false);
    match format {
        LogFormat::Text => layer.with_writer(writer).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_writer(writer).boxed(),
    }
}

/// In the place of the standard library's hook, which waits for standard error.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        thread = thread.name(),
        location = panic.location().map(ToString::to_string),
        message = panic.payload_as_str().unwrap_or("a panic without a message"),
        backtrace,
    );
}

/// Gets each event whole, its newline included.
#[derive(Clone)]
struct EventWriter {
    lines: Arc<LineWriter>,
    /// Whether what could break a line is to be escaped here, wherever in the event it stands. JSON has done
    /// so.
    is_text: bool,
    max_bytes: usize,
}

impl<'a> MakeWriter<'a> for EventWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self {
        let is_access = event.target() == ACCESS_LOG;
        Self {
            max_bytes: if is_access {
                MAX_ACCESS_BYTES
            } else {
                MAX_WAITING_BYTES
            },
            ..self.clone()
        }
    }
}

impl Write for EventWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        match Some(text).filter(|_| self.is_text).and_then(escape) {
            None => self.lines.push_within(event, self.max_bytes),
            Some(escaped) => {
                let line = format!("{escaped}\n");
                self.lines.push_within(line.as_bytes(), self.max_bytes);
            }
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text with escapes for what ends a line, steers a terminal or turns the direction of writing; none
/// where it has nothing of that.
fn escape(text: &[u8]) -> Option<String> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
    if text.iter().all(is_plain) {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    let is_harmful = |character: char| {
        character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_harmful) {
        return None;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_harmful(character) {
            // A String takes all.
            let _ = write!(escaped, "{}", character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    #[test]
    fn every_level_that_the_settings_take_is_understood_here() {
        for level in [
            "off",
            "trace",
            "info,envgate=debug",
            "warn,envgate::access=off,pingora-core=error",
        ] {
            let text = format!("log.level = \"{level}\"");
            let settings = load(&Source::new("envgate.toml", text, [])).unwrap();
            EnvFilter::builder().parse(&settings.log.level).unwrap();
        }
        for level in [
            "envgate",
            "info,=debug",
            "info,",
            "info, envgate=debug",
            "info,x[span]=debug",
            "LOUD",
        ] {
            let text = format!("log.level = \"{level}\"");
            assert!(load(&Source::new("envgate.toml", text, [])).is_err(), "{level}");
        }
    }

    #[test]
    fn what_could_break_a_line_is_escaped_and_nothing_else() {
        for (text, expected) in [
            ("plain", None),
            ("für alle 東京 ✓", None),
            ("a\nb\r\tc", Some(r"a\nb\r\tc")),
            ("\u{1b}[31mred\u{7f}", Some(r"\u{1b}[31mred\u{7f}")),
            ("c1\u{85}ü", Some(r"c1\u{85}ü")),
            (
                "\u{2028}line\u{202e}turned\u{2066}",
                Some(r"\u{2028}line\u{202e}turned\u{2066}"),
            ),
        ] {
            assert_eq!(escape(text.as_bytes()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_panic_is_one_line_of_the_log_whatever_it_says() {
        let (mut reader, sink) = io::pipe().unwrap();
        let lost = IntCounter::new("lost", "lost").unwrap();
        let lines = Arc::new(LineWriter::spawn("test", sink, MAX_WAITING_BYTES, lost).unwrap());
        let subscriber = registry().with(layer(LogFormat::Text, Arc::clone(&lines)));
        tracing::subscriber::with_default(subscriber, || {
            let hook = panic::take_hook();
            panic::set_hook(Box::new(log_panic));
            let outcome = panic::catch_unwind(|| panic!("first\nsecond \u{1b}[2J"));
            panic::set_hook(hook);
            outcome.unwrap_err();
        });
        drop(lines);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        let [line] = text.lines().collect::<Vec<_>>()[..] else {
            panic!("{text}");
        };
        assert!(
            line.contains("ERROR") && line.contains(r"first\nsecond \x1b[2J"),
            "{line}"
        );
        assert!(line.contains("log.rs"), "{line}");
    }
}
