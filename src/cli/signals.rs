//! What signals do to the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that end a process unless it says otherwise, and that mean nothing here. SIGPIPE is not among them,
/// because Rust's runtime ignores it.
const IGNORED: [SignalKind; 5] = [
    SignalKind::hangup(),
    SignalKind::user_defined1(),
    SignalKind::user_defined2(),
    SignalKind::alarm(),
    SignalKind::io(),
];

/// The name of the signal that a person sends from a terminal.
pub(super) const INTERRUPT: &str = "SIGINT";
/// The exit status of a process that was told twice to stop.
pub(super) const STOPPED_BY_SIGNAL: u8 = 130;

/// The signals of the process, from the moment of [`Signals::listen`] on: SIGTERM, SIGINT and SIGQUIT stop
/// it, others do nothing; `serve` listens to SIGHUP besides.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        for ignored in IGNORED {
            // The signal never gets its default action back, even where nobody listens to it any more.
            let _ = signal(ignored)?;
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The hang-ups from now on: each asks for the settings to be read again.
    pub(super) fn hang_ups() -> io::Result<Signal> {
        signal(SignalKind::hangup())
    }

    /// The name of the next signal to stop that arrives.
    pub(super) async fn next_stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.quit.recv() => "SIGQUIT",
        }
    }
}
