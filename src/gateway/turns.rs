use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::ownership::Claim;

/// One update at a time for each environment of a plan with a policy: between the look at what is stored and the
/// reply nobody else of this gateway changes it.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Claim, Arc<tokio::sync::Mutex<()>>>>);

/// An update's turn, until it is dropped.
pub(super) type Turn = OwnedMutexGuard<()>;

/// From so many on, turns that nobody waits for are forgotten.
const REMEMBERED_TURNS: usize = 1024;

impl Turns {
    /// Waits for the turn of an update of this environment.
    pub(super) async fn wait(&self, claim: Claim) -> Turn {
        let turn = {
            let mut turns = self.0.lock();
            if turns.len() >= REMEMBERED_TURNS {
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            }
            Arc::clone(turns.entry(claim).or_default())
        };
        turn.lock_owned().await
    }
}
