//! What signals do to the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that end a process unless it says otherwise, and that mean nothing here. SIGPIPE is not among them,
/// because Rust's runtime ignores it.
const IGNORED: [SignalKind; 4] = [
    SignalKind::user_defined1(),
    SignalKind::user_defined2(),
    SignalKind::alarm(),
    SignalKind::io(),
];

/// The exit status of a process that was told twice to stop.
pub(super) const STOPPED_BY_SIGNAL: u8 = 130;

/// The signals of the process, from the moment of [`Signals::listen`] on: SIGTERM, SIGINT and SIGQUIT stop
/// it, SIGHUP is told of in the log, others do nothing.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
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
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next signal to stop that arrives.
    pub(super) async fn next_stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.quit.recv() => return "SIGQUIT",
                _ = self.hang_up.recv() => {
                    tracing::warn!("SIGHUP is ignored: settings are read at the start and never again");
                }
            }
        }
    }
}
