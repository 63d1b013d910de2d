//! The end of a gateway, in order: requests, what is still to be written, and one last line about all that
//! was left out.

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::signals::{STOPPED_BY_SIGNAL, Signals};
use crate::config::Settings;
use crate::store::{Store, Unrecorded};
use crate::telemetry::RunningLog;

/// How long an answer may take to be written, once the upstream has given it.
const WRITE_TIME: Duration = Duration::from_secs(5);
/// How long all that may take which is still to be written at the end. What is written bounds itself; this is
/// for what nobody thought of.
pub(super) const FINAL_WRITES_TIMEOUT: Duration = Duration::from_secs(10);
/// How long Redis may take at the end, and the times at which keys were last used.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long whoever still uses the store may take to give it back at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long whoever asks on the admin address may take for the last answer.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(1);
/// The exit status of a gateway whose audit does not have all that was answered.
const UNRECORDED: u8 = 3;
/// The exit status of a gateway that had to cut off what took too long.
const CUT_OFF: u8 = 4;

/// How long a gateway takes that was told to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct StopTimes {
    /// Before it stops to accept.
    pub(super) delay: Duration,
    /// For what is in flight: its body, the upstream, its answer. So nothing is cut off that keeps to the settings.
    pub(super) in_flight: Duration,
}

impl StopTimes {
    pub(super) fn new(settings: &Settings, delay: Duration) -> Self {
        Self {
            delay,
            in_flight: settings.listen.body_timeout + settings.upstream.timeout + WRITE_TIME,
        }
    }

    /// How long all of it takes at most.
    pub(super) fn longest(&self) -> Duration {
        self.delay + self.in_flight + FINAL_WRITES_TIMEOUT * 2
    }
}

/// Done at the second signal to stop. The third ends the process.
pub(super) fn second_signal(
    mut signals: Signals,
    is_hurried: Arc<AtomicBool>,
    log: Arc<RunningLog>,
) -> impl Future<Output = ()> {
    let (second, is_second) = oneshot::channel();
    tokio::spawn(async move {
        signals.next_stop().await;
        is_hurried.store(true, Ordering::Relaxed);
        // Nobody waits for it where requests have been dealt with.
        let _ = second.send(());
        signals.next_stop().await;
        log.flush();
        std::process::exit(STOPPED_BY_SIGNAL.into());
    });
    async {
        if is_second.await.is_err() {
            // There is nobody to tell it.
            std::future::pending().await
        }
    }
}

/// Ends the process, where a thread hangs that should stop it in order.
pub(super) fn end_at_last(log: Arc<RunningLog>, longest: Duration) -> io::Result<()> {
    let deadline = Instant::now() + longest;
    let wait = move || {
        while let Some(time_left) = deadline.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(time_left);
        }
        tracing::error!("stopped, though not all has come to its end");
        log.flush();
        std::process::exit(UNRECORDED.into());
    };
    std::thread::Builder::new().name("end".to_owned()).spawn(wait)?;
    Ok(())
}

/// Leaves the store as one whole file, where it is a file and nobody else has it open.
pub(super) async fn close_store(store: &OnceLock<Store>) {
    if let Some(store) = store.get()
        && timeout(CLOSE_TIMEOUT, store.close()).await.is_err()
    {
        tracing::warn!(
            "the store is still in use; what was written last may stand in a journal beside its file"
        );
    }
}

/// What had no time left to come to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct CutOff {
    pub(super) requests: i64,
    pub(super) adoptions: usize,
}

/// Says in one last line what did not come to its end. None where nobody knows what was recorded.
pub(super) fn conclude(cut_off: CutOff, unrecorded: Option<Unrecorded>, is_hurried: bool) -> ExitCode {
    let (requests, adoptions) = (cut_off.requests, cut_off.adoptions);
    let Some(Unrecorded { writes, refusals }) = unrecorded else {
        tracing::error!(
            requests,
            adoptions,
            "stopped; nobody knows whether the audit has all records"
        );
        return ExitCode::from(UNRECORDED);
    };
    if (writes, refusals) != (0, 0) {
        tracing::error!(
            requests,
            adoptions,
            writes,
            refusals,
            "stopped; the audit does not have all that was answered"
        );
        return ExitCode::from(UNRECORDED);
    }
    if (requests, adoptions) == (0, 0) {
        tracing::info!("stopped");
    } else {
        tracing::warn!(requests, adoptions, "stopped; requests or adoptions were cut off");
    }
    if is_hurried {
        ExitCode::from(STOPPED_BY_SIGNAL)
    } else if (requests, adoptions) == (0, 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(CUT_OFF)
    }
}

/// Ends what is told on the admin address, which until then has told how the end goes on.
pub(super) async fn close_admin(admin: JoinHandle<io::Result<()>>, stop: watch::Sender<bool>) {
    let _ = stop.send(true);
    // What is still asked then is not waited for.
    let _ = timeout(ADMIN_TIMEOUT, admin).await;
}

/// Until what is worth no longer wait at the end has had its time.
pub(super) async fn wait_long_after_stop(stopped: watch::Receiver<bool>) {
    wait_for_stop(stopped).await;
    sleep(GOODBYE_TIMEOUT).await;
}

pub(super) async fn wait_for_stop(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_says_what_did_not_come_to_its_end() {
        let all = || Some(Unrecorded::default());
        let some = Some(Unrecorded {
            writes: 0,
            refusals: 1,
        });
        let nothing = CutOff {
            requests: 0,
            adoptions: 0,
        };
        let request = CutOff {
            requests: 1,
            ..nothing
        };
        for (cut_off, unrecorded, is_hurried, expected) in [
            (nothing, all(), false, 0),
            (request, all(), false, CUT_OFF),
            (request, all(), true, STOPPED_BY_SIGNAL),
            (nothing, all(), true, STOPPED_BY_SIGNAL),
            (request, some, true, UNRECORDED),
            (nothing, None, false, UNRECORDED),
        ] {
            let status = conclude(cut_off, unrecorded, is_hurried);
            assert_eq!(status, ExitCode::from(expected), "{expected}");
        }
    }

    #[test]
    fn what_is_in_flight_has_as_long_as_the_settings_allow_it() {
        let text = "upstream.timeout = \"90s\"\nlisten.body_timeout = \"20s\"";
        let settings = crate::config::load(&crate::config::Source::new("envgate.toml", text, [])).unwrap();
        let times = StopTimes::new(&settings, Duration::from_secs(7));
        assert!(times.in_flight > Duration::from_secs(110), "{times:?}");
        assert!(times.longest() > times.delay + times.in_flight, "{times:?}");
    }
}
