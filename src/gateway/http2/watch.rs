use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::frames::{FrameReader, Seen};

/// What a client may give up or have reset in a minute. Each costs the gateway as much as a request, and the
/// client next to nothing.
const MAX_RESETS: u32 = 100;
/// How many frames that only ask for work a client may send in a minute: twenty times what clients do that
/// measure their connection all the time.
const MAX_CONTROLS: u32 = 600;
const MINUTE: Duration = Duration::from_secs(60);

/// What goes over one connection of HTTP/2, as its stream sees it and its connection judges it.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    abused: Notify,
    began_waiting: Notify,
}

#[derive(Debug)]
struct State {
    frames: FrameReader,
    /// The minute that is counted, and what came in it.
    minute: Instant,
    seen: Seen,
    block_since: Option<Instant>,
    blocked: Option<Blocked>,
    is_abused: bool,
    ends_with_reset: bool,
}

/// A time in which the client has not taken all that there was for it.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    since: Instant,
    taken: usize,
}

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misuse {
    /// Streams were given up, or had to be refused, by the hundred.
    Resets,
    /// Frames came that only ask for work.
    ControlFrames,
    /// The head of a request began and did not end.
    SlowHead,
    /// What was sent is not taken.
    SlowReader,
}

impl Misuse {
    /// Its name in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::ControlFrames => "control_frames",
            Self::SlowHead => "slow_head",
            Self::SlowReader => "slow_reader",
        }
    }
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                frames: FrameReader::new(),
                minute: Instant::now(),
                seen: Seen::default(),
                block_since: None,
                blocked: None,
                is_abused: false,
                ends_with_reset: false,
            }),
            abused: Notify::new(),
            began_waiting: Notify::new(),
        }
    }

    /// Looks at what came.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        let seen = state.frames.read(bytes);
        if !state.frames.is_in_block() {
            state.block_since = None;
        } else if state.block_since.is_none() {
            state.block_since = Some(Instant::now());
            self.began_waiting.notify_one();
        }
        self.count(&mut state, seen);
    }

    /// Whether so much was asked for that nothing more is read.
    pub(super) fn is_abused(&self) -> bool {
        self.state.lock().is_abused
    }

    /// Counts a stream that had to be refused or given up, as if the client had done it.
    pub(super) fn count_reset(&self) {
        let seen = Seen {
            resets: 1,
            controls: 0,
        };
        self.count(&mut self.state.lock(), seen);
    }

    fn count(&self, state: &mut State, seen: Seen) {
        if seen == Seen::default() {
            return;
        }
        if state.minute.elapsed() >= MINUTE {
            (state.minute, state.seen) = (Instant::now(), Seen::default());
        }
        state.seen.resets = state.seen.resets.saturating_add(seen.resets);
        state.seen.controls = state.seen.controls.saturating_add(seen.controls);
        if state.seen.resets > MAX_RESETS || state.seen.controls > MAX_CONTROLS {
            state.is_abused = true;
            self.abused.notify_one();
        }
    }

    /// Waits until so much was asked for that the connection has to end.
    pub(super) async fn abused(&self) -> Misuse {
        loop {
            let abused = self.abused.notified();
            {
                let state = self.state.lock();
                if state.is_abused && state.seen.resets > MAX_RESETS {
                    return Misuse::Resets;
                }
                if state.is_abused {
                    return Misuse::ControlFrames;
                }
            }
            abused.await;
        }
    }

    /// Counts what the client's machine took.
    pub(super) fn sent(&self, bytes: usize) {
        if let Some(blocked) = &mut self.state.lock().blocked {
            blocked.taken = blocked.taken.saturating_add(bytes);
        }
    }

    /// The client's machine takes nothing for now.
    pub(super) fn blocked(&self) {
        let mut state = self.state.lock();
        if state.blocked.is_none() {
            state.blocked = Some(Blocked {
                since: Instant::now(),
                taken: 0,
            });
            self.began_waiting.notify_one();
        }
    }

    /// All that there was is with the client's machine.
    pub(super) fn flushed(&self) {
        self.state.lock().blocked = None;
    }

    /// Waits until something begins that may come to take too long.
    pub(super) async fn began_waiting(&self) {
        self.began_waiting.notified().await;
    }

    /// Whether there is something that may come to take too long.
    pub(super) fn is_waiting(&self) -> bool {
        let state = self.state.lock();
        state.blocked.is_some() || state.block_since.is_some()
    }

    /// What takes too long by now: a head longer than `head`, or what is to be sent, if in each `write` fewer
    /// than `least` bytes were taken.
    pub(super) fn overdue(&self, head: Duration, write: Duration, least: usize) -> Option<Misuse> {
        let mut state = self.state.lock();
        if state.block_since.is_some_and(|since| since.elapsed() >= head) {
            return Some(Misuse::SlowHead);
        }
        let blocked = state.blocked.filter(|blocked| blocked.since.elapsed() >= write)?;
        if blocked.taken < least {
            return Some(Misuse::SlowReader);
        }
        state.blocked = Some(Blocked {
            since: Instant::now(),
            taken: 0,
        });
        None
    }

    /// Lets the connection end with a reset, so that the kernel keeps nothing of what was sent.
    pub(super) fn end_with_reset(&self) {
        self.state.lock().ends_with_reset = true;
    }

    pub(super) fn ends_with_reset(&self) -> bool {
        self.state.lock().ends_with_reset
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    #[test]
    fn a_hundred_resets_are_borne_and_one_more_is_not() {
        let watch = Watch::new();
        for _ in 0..MAX_RESETS {
            watch.count_reset();
        }
        assert!(!watch.is_abused());
        assert_eq!(watch.abused().now_or_never(), None);
        watch.count_reset();
        assert!(watch.is_abused());
        assert_eq!(watch.abused().now_or_never(), Some(Misuse::Resets));
    }

    #[test]
    fn what_a_client_takes_at_the_least_rate_is_never_overdue() {
        let watch = Watch::new();
        watch.blocked();
        assert_eq!(watch.overdue(NEVER, NEVER, 10), None);
        assert_eq!(watch.overdue(NEVER, Duration::ZERO, 10), Some(Misuse::SlowReader));
        watch.sent(10);
        assert_eq!(watch.overdue(NEVER, Duration::ZERO, 10), None);
        assert_eq!(
            watch.overdue(NEVER, Duration::ZERO, 10),
            Some(Misuse::SlowReader),
            "a new time began"
        );
        watch.flushed();
        assert_eq!(watch.overdue(NEVER, Duration::ZERO, 10), None);
    }

    #[test]
    fn a_head_that_does_not_end_is_overdue() {
        let watch = Watch::new();
        watch.received(&[0; 24]);
        watch.received(&[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]);
        assert!(watch.is_waiting());
        assert_eq!(watch.overdue(NEVER, NEVER, 0), None);
        assert_eq!(watch.overdue(Duration::ZERO, NEVER, 0), Some(Misuse::SlowHead));
        watch.received(&[0, 0, 0, 9, 4, 0, 0, 0, 1]);
        assert!(!watch.is_waiting());
        assert_eq!(watch.overdue(Duration::ZERO, NEVER, 0), None);
    }
}
