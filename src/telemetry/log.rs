use tracing_subscriber::filter::{Directive, EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt, registry};

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
}

/// Pingora tells of each client that hung up as an error, and at `debug` prints request headers whole,
/// credentials included. No setting brings those back.
const CAPPED: [&str; 4] = [
    "pingora_core=error",
    "pingora_proxy=off",
    "pingora_runtime=error",
    "pingora_http=error",
];

/// Starts the log of the process, on standard error, where records of the `log` crate go too.
///
/// # Errors
/// [`LogError`] where the level is not understood, or a log was started before.
pub fn start_log(settings: &Log) -> Result<(), LogError> {
    let mut filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(&settings.level)?;
    for directive in CAPPED {
        filter = filter.add_directive(directive.parse::<Directive>()?);
    }
    let writer = BoxMakeWriter::new(std::io::stderr);
    let layer = match settings.format {
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(writer).boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(writer)
            .boxed(),
    };
    // try_init also routes the records of the `log` crate, Pingora's and rustls' among them, into tracing.
    registry().with(layer.with_filter(filter)).try_init()?;
    Ok(())
}
