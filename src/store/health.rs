use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::StoreError;
use super::error::StoreFault;

/// Whether the store can be read from and written to, as far as it was tried. Clones of a store share it.
#[derive(Debug, Default)]
pub struct StoreHealth {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    read_problem: Option<&'static str>,
    write_problem: Option<&'static str>,
    /// Connections from before this are not used again.
    oldest_good: Option<Instant>,
}

impl StoreHealth {
    /// What is wrong with reading, else with writing, in words that name no secret; none where all is well.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let state = self.state.lock();
        let read = state.read_problem.map(str::to_owned);
        read.or_else(|| Some(format!("{}; nothing can be changed", state.write_problem?)))
    }

    /// Whether the last write failed.
    pub(super) fn is_write_failing(&self) -> bool {
        self.state.lock().write_problem.is_some()
    }

    /// Notes how it went to read; what failed is told when it begins to fail, or fails for another reason.
    pub(super) fn note_read(&self, error: Option<&StoreError>) {
        let problem = error.map(StoreError::condition);
        let before = std::mem::replace(&mut self.state.lock().read_problem, problem);
        match error {
            Some(error) if before != problem => {
                tracing::warn!(%error, "the store does not answer as it should; requests go on with what is known");
            }
            None if before.is_some() => tracing::info!("the store answers"),
            _ => {}
        }
    }

    /// Notes why the store cannot be opened yet.
    pub fn note_opening(&self, error: &StoreError) {
        let problem = Some(error.condition());
        if std::mem::replace(&mut self.state.lock().read_problem, problem) != problem {
            tracing::warn!(%error, "the store cannot be used; nobody can be let in before it can");
        }
    }

    /// Notes how it went to write. A refusal of what was to be written says nothing.
    pub(super) fn note_write(&self, error: Option<&StoreError>) {
        if error.is_some_and(|error| !error.is_of_the_store()) {
            return;
        }
        let problem = error.map(StoreError::condition);
        let before = {
            let mut state = self.state.lock();
            let before = std::mem::replace(&mut state.write_problem, problem);
            // After a failover old connections go on to a database that is a standby now; new ones find the right one. So
            // none is used again that may be of that kind, until one works and once more then.
            let is_read_only = error.is_some_and(|error| error.fault() == Some(StoreFault::ReadOnly));
            if is_read_only || (error.is_none() && before.is_some()) {
                state.oldest_good = Some(Instant::now());
            }
            before
        };
        match error {
            Some(error) if before != problem => {
                tracing::warn!(%error, "the store takes no changes");
            }
            None if before.is_some() => tracing::info!("the store takes changes again"),
            _ => {}
        }
    }

    /// Whether a connection of this age may be used.
    pub(super) fn may_use(&self, age: Duration) -> bool {
        let oldest_good = self.state.lock().oldest_good;
        oldest_good.is_none_or(|oldest| oldest.elapsed() > age)
    }
}

#[cfg(test)]
mod tests;
