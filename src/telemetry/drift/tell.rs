use std::time::Duration;

use tokio::time::Instant;

use crate::contract::Finding;

/// How many findings the log is told of in a minute; the rest is counted.
const MAX_A_MINUTE: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// Tells the log what is new, a few lines a minute.
#[derive(Default)]
pub(super) struct Teller {
    /// Since when is counted.
    since: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Teller {
    /// Tells of findings, or of how many there was no room for in the last minute.
    pub(super) fn tell(&mut self, findings: Vec<Finding>) {
        if self.since.is_none_or(|since| since.elapsed() >= MINUTE) {
            if self.untold > 0 {
                tracing::warn!(
                    findings = self.untold,
                    "the upstream's replies differ from the contract in more; see envgate drift"
                );
            }
            *self = Self {
                since: Some(Instant::now()),
                ..Self::default()
            };
        }
        for finding in findings {
            if self.told >= MAX_A_MINUTE {
                self.untold += 1;
                continue;
            }
            self.told += 1;
            tracing::warn!(
                operation = finding.operation.name(),
                reply = finding.document.name(),
                kind = finding.kind.name(),
                pointer = finding.pointer,
                finding = finding.in_words(),
                "the upstream's replies differ from the contract; see envgate drift"
            );
        }
    }
}
