use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::text::format_seconds;

/// Why a process does not take over from the one that runs. That one goes on.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum HandoverError {
    /// Others might enter the directory, or nobody can.
    #[error("{directory}: {reason}", directory = .directory.display())]
    Directory {
        /// Which one.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The socket there is another user's.
    #[error("the process behind the socket there is of user {found}, not of {wanted}")]
    OtherUser {
        /// Whose it is.
        found: u32,
        /// Whose it should be.
        wanted: u32,
    },
    /// The running process says no.
    #[error("the running envgate does not hand over: {0}")]
    Refused(String),
    /// It is there and says nothing.
    #[error("the running envgate, {}, does not answer within {}", process(*.pid), format_seconds(*.within))]
    Silent {
        /// How long it was waited for.
        within: Duration,
        /// Its number, where it is known.
        pid: Option<i32>,
    },
    /// The two do not know the same store.
    #[error(
        "the running envgate keeps the store at schema version {running}, this one at {own}: an upgrade across \
         that has to stop the old one first, see docs/operation.md"
    )]
    OtherStore {
        /// Its newest version.
        running: i64,
        /// Our own.
        own: i64,
    },
    /// It says what cannot be understood.
    #[error("the running envgate says what this one does not understand: {0}")]
    Garbled(String),
    /// It has gone.
    #[error("the running envgate has gone")]
    Gone,
    /// This process does not come as far as to serve.
    #[error("not ready within {}: {why}; the running envgate goes on", format_seconds(*.within))]
    NotReady {
        /// How long was waited.
        within: Duration,
        /// What for.
        why: String,
    },
    /// Something else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn process(pid: Option<i32>) -> String {
    pid.map_or_else(
        || "a process whose number is not known".to_owned(),
        |pid| format!("process {pid}"),
    )
}
