use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry};

use super::LineWriter;
use super::access_log::{self, AccessLog};
use super::escape::escape;
use super::log_level::{LevelInForce, LevelSet, SharedFilter, filter, lets_through};
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

/// How much may wait for whoever reads standard error: some thousand lines.
const MAX_WAITING_BYTES: usize = 1 << 20;
/// How much of that the access log may take, so that it crowds no warning out.
const MAX_ACCESS_BYTES: usize = MAX_WAITING_BYTES / 4 * 3;
/// How long the last lines may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The log of the process. Whoever drops it waits a moment for the last lines.
#[derive(Debug)]
pub struct RunningLog {
    lines: Arc<LineWriter>,
    filter: SharedFilter,
    access: Arc<AccessLog>,
    in_force: Mutex<LevelInForce>,
}

impl RunningLog {
    /// Logs what is of this level, or what these directives say, from now on. `set` is who wants it, where that
    /// is somebody else than the settings. Gives back what held before.
    ///
    /// # Errors
    /// [`LogError::Level`]
    pub fn set_level(&self, level: &str, set: Option<LevelSet>) -> Result<LevelInForce, LogError> {
        let filter = filter(level)?;
        let level = level.to_owned();
        let mut in_force = self.in_force.lock();
        self.access
            .enable(lets_through(&level, access_log::TARGET, Level::INFO));
        self.filter.set(filter);
        Ok(mem::replace(&mut *in_force, LevelInForce { level, set }))
    }

    /// What is logged, and who says so.
    #[must_use]
    pub fn level(&self) -> LevelInForce {
        self.in_force.lock().clone()
    }

    /// Where the lines of requests go.
    #[must_use]
    pub fn access(&self) -> Arc<AccessLog> {
        Arc::clone(&self.access)
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
    let filter = SharedFilter::new(filter(&settings.level)?);
    // A descriptor of its own: the lock of Rust's standard error would be held for as long as a write takes.
    let sink = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let lines = Arc::new(LineWriter::spawn("log", sink, MAX_WAITING_BYTES, lost)?);
    let access = AccessLog::new(Arc::clone(&lines), MAX_ACCESS_BYTES, settings.format);
    access.enable(lets_through(&settings.level, access_log::TARGET, Level::INFO));
    let layer = layer(settings.format, Arc::clone(&lines));
    // try_init also routes the records of the `log` crate, Pingora's and rustls' among them, into tracing.
    registry().with(layer.with_filter(filter.clone())).try_init()?;
    panic::set_hook(Box::new(log_panic));
    Ok(RunningLog {
        lines,
        filter,
        access: Arc::new(access),
        in_force: Mutex::new(LevelInForce {
            level: settings.level.clone(),
            set: None,
        }),
    })
}

/// What makes lines of events.
fn layer<S>(format: LogFormat, lines: Arc<LineWriter>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let writer = EventWriter {
        lines,
        is_text: format == LogFormat::Text,
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
}

impl<'a> MakeWriter<'a> for EventWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for EventWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        match Some(text).filter(|_| self.is_text).and_then(escape) {
            None => self.lines.push(event),
            Some(escaped) => {
                let line = format!("{escaped}\n");
                self.lines.push(line.as_bytes());
            }
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
