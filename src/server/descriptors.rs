use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that clients never get: for the admin address, the store, logs, the audit and lookups of
/// names.
const KEPT_BACK: u64 = 512;
/// Each request of a client may need a connection to the upstream besides its own.
const FOR_EACH_CONNECTION: u64 = 2;
/// More connections than that are nothing that a process should have without having been asked to.
const MOST_UNASKED: usize = 16 * 1024;
/// Fewer are no service.
const LEAST: usize = 16;

/// How many descriptors the process may have.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorLimit {
    /// What held when the process was started.
    pub inherited: u64,
    /// What holds now.
    pub raised: u64,
}

impl DescriptorLimit {
    /// Raises the soft limit to the hard one: the usual soft limit is for programs that call `select`.
    ///
    /// # Errors
    /// Where the system does not let the process raise it; it says so with what it was.
    pub fn raise() -> Result<Self, (Self, io::Error)> {
        let limit = getrlimit(Resource::Nofile);
        // None is no limit.
        let number = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        let inherited = number(limit.current);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => Ok(Self {
                inherited,
                raised: number(limit.maximum),
            }),
            Err(error) => {
                let as_it_was = Self {
                    inherited,
                    raised: inherited,
                };
                Err((as_it_was, error.into()))
            }
        }
    }

    /// What the limit is and what it can be raised to, without raising it.
    #[must_use]
    pub fn look() -> Self {
        let limit = getrlimit(Resource::Nofile);
        Self {
            inherited: limit.current.unwrap_or(u64::MAX),
            raised: limit.maximum.unwrap_or(u64::MAX),
        }
    }

    /// The least limit that has room for so many connections.
    #[must_use]
    pub fn needed(connections: usize) -> u64 {
        let connections = u64::try_from(connections).unwrap_or(u64::MAX);
        connections
            .saturating_mul(FOR_EACH_CONNECTION)
            .saturating_add(KEPT_BACK)
    }

    /// How many connections of clients it has room for.
    ///
    /// ```
    /// use envgate::server::DescriptorLimit;
    ///
    /// let limit = DescriptorLimit { inherited: 1024, raised: 4096 };
    /// assert_eq!(limit.max_connections(), 1792);
    /// ```
    #[must_use]
    pub fn max_connections(self) -> usize {
        let room = self.raised.saturating_sub(KEPT_BACK) / FOR_EACH_CONNECTION;
        usize::try_from(room).unwrap_or(usize::MAX).max(LEAST)
    }

    /// How many of them there may be: as many as were asked for, as far as there is room.
    #[must_use]
    pub fn connections(self, asked: Option<usize>) -> usize {
        asked.unwrap_or(MOST_UNASKED).min(self.max_connections())
    }
}
