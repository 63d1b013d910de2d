//! What systemd is told where it started the process, `sd_notify(3)`: nothing where it did not.

use std::ffi::OsStr;
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{interval, timeout};

use crate::gateway::Heartbeat;

/// How long a word may take. Who does not read must not hold anything up.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// In how many parts of its time the watchdog hears of the process, and how many of them that may take.
const PARTS: u32 = 4;
const MOST_PARTS: u32 = 2;

/// Whom to tell how the process does. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceStatus {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// Whether requests are answered yet.
    is_ready: Arc<AtomicBool>,
    /// How long the watchdog goes without a word before it ends the process.
    watchdog: Option<Duration>,
}

impl ServiceStatus {
    /// As the environment says. A socket that cannot be used is told in the log.
    pub(super) fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let Some(address) = variable("NOTIFY_SOCKET") else {
            return Self::default();
        };
        let open = || -> io::Result<_> {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(SEND_TIMEOUT))?;
            Ok((socket, parse_address(&address)?))
        };
        match open() {
            Ok(socket) => Self {
                socket: Some(Arc::new(socket)),
                is_ready: Arc::default(),
                watchdog: watchdog(
                    variable("WATCHDOG_USEC").as_deref(),
                    variable("WATCHDOG_PID").as_deref(),
                ),
            },
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET cannot be used, so systemd is told nothing");
                Self::default()
            }
        }
    }

    /// Requests are answered.
    pub(super) fn tell_ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
        self.tell("READY=1\nSTATUS=serving");
    }

    /// The settings are being read again; [`tell_reloaded`](Self::tell_reloaded) must follow, however that ends.
    pub(super) fn tell_reloading(&self) {
        if !self.is_ready.load(Ordering::Relaxed) {
            return;
        }
        let now = clock_gettime(ClockId::Monotonic);
        // Counted from the start of the machine, so it fits.
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// They have been read, and what is in force now stays.
    pub(super) fn tell_reloaded(&self) {
        if self.is_ready.load(Ordering::Relaxed) {
            self.tell("READY=1\nSTATUS=serving");
        }
    }

    /// What the process waits for before it is ready; it may take so long until the next word.
    pub(super) fn tell_waiting(&self, why: &str, longest: Duration) {
        // One line each.
        let why = why.replace(char::is_control, " ");
        self.tell(&format!(
            "STATUS={why}\nEXTEND_TIMEOUT_USEC={}",
            longest.as_micros()
        ));
    }

    /// The process stops, which may take so long.
    pub(super) fn tell_stopping(&self, longest: Duration) {
        self.tell(&format!(
            "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC={}",
            longest.as_micros()
        ));
    }

    /// Tells the watchdog that all workers are at work, as long as they are. Does not end.
    pub(super) async fn follow(self, heartbeat: Heartbeat) {
        let Some(watchdog) = self.watchdog else {
            return std::future::pending().await;
        };
        let mut part = interval(watchdog / PARTS);
        loop {
            part.tick().await;
            match timeout(watchdog / PARTS * MOST_PARTS, heartbeat.beat()).await {
                Ok(true) => self.tell("WATCHDOG=1"),
                _ => tracing::error!("a worker does nothing, and systemd's watchdog is not told otherwise"),
            }
        }
    }

    fn tell(&self, what: &str) {
        let Some(socket) = &self.socket else { return };
        let (socket, address) = &**socket;
        if let Err(error) = socket.send_to_addr(what.as_bytes(), address) {
            tracing::warn!(%error, what, "systemd could not be told");
        }
    }
}

/// A path, or after `@` the name of a socket that is no file.
fn parse_address(text: &OsStr) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = text.as_bytes().strip_prefix(b"@") {
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(text)
}

/// The time of the watchdog, if there is one and this is the process that it watches.
fn watchdog(microseconds: Option<&OsStr>, pid: Option<&OsStr>) -> Option<Duration> {
    let number = |text: &OsStr| text.to_str()?.parse::<u64>().ok();
    let is_ours = pid.is_none_or(|pid| number(pid) == Some(std::process::id().into()));
    let time = Duration::from_micros(number(microseconds?)?);
    (is_ours && !time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_a_name() {
        let of = |text: &str| parse_address(OsStr::new(text)).unwrap();
        assert_eq!(
            of("/run/systemd/notify").as_pathname().unwrap().to_str(),
            Some("/run/systemd/notify")
        );
        assert_eq!(of("@/org/notify").as_abstract_name(), Some(&b"/org/notify"[..]));
        assert!(parse_address(OsStr::new(&"x".repeat(200))).is_err());
    }

    #[test]
    fn a_watchdog_of_another_process_is_none() {
        let of = |time: &str, pid: Option<&str>| watchdog(Some(OsStr::new(time)), pid.map(OsStr::new));
        let own = std::process::id().to_string();
        assert_eq!(of("2000000", None), Some(Duration::from_secs(2)));
        assert_eq!(of("2000000", Some(&own)), Some(Duration::from_secs(2)));
        for (time, pid) in [("2000000", Some("0")), ("0", None), ("soon", None)] {
            assert_eq!(of(time, pid), None, "{time} {pid:?}");
        }
        assert_eq!(watchdog(None, None), None);
    }
}
