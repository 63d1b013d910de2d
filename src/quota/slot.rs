use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::budget::Budget;
use super::fair_queue::QueueId;
use super::limits::{BudgetRejection, Kind, TenantQuota};

/// An exchange's slot in flight, across all upstream requests that it needs. Dropped, it is another's.
#[derive(Debug)]
pub struct InFlightSlot(Option<Held>);

#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    queue: QueueId,
    /// The kind of request that was admitted with the slot, while no token was asked for.
    first: Option<Kind>,
    /// Whether the exchange has used the tenant's own limit.
    is_counted: bool,
}

/// One upstream request that may be sent. Dropped unsent, it is given back.
#[derive(Debug)]
#[must_use = "a token that is dropped unsent is given back"]
pub struct Token<'p>(Option<Unspent<'p>>);

struct Unspent<'p> {
    slot: &'p mut Held,
    kind: Kind,
    sent: Option<Sent>,
}

/// When a request went out, and whether it was the one that used the tenant's own limit.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    has_counted: bool,
}

impl Budget {
    /// Waits until `until` at the longest for a slot in flight, and for the first request of it, which is of
    /// `kind`. Where nobody may be limited there is no waiting and no lock.
    ///
    /// # Errors
    /// [`BudgetRejection`]: at once where the turn cannot come in time or too many of the tenant wait, else
    /// at `until`.
    pub async fn enter(
        self: &Arc<Self>,
        tenant_quota: &TenantQuota<'_>,
        kind: Kind,
        until: Instant,
    ) -> Result<InFlightSlot, BudgetRejection> {
        if self.is_open_to(&tenant_quota.limits) {
            self.count_admitted(None);
            return Ok(InFlightSlot::free());
        }
        let asked = Instant::now();
        let queue = self.wait_in_queue(tenant_quota, kind, until).await?;
        self.count_admitted(Some(asked.elapsed()));
        Ok(InFlightSlot(Some(Held {
            budget: Arc::clone(self),
            queue,
            first: Some(kind),
            is_counted: false,
        })))
    }
}

impl InFlightSlot {
    /// A slot where nothing is limited.
    #[must_use]
    pub const fn free() -> Self {
        Self(None)
    }

    /// Permission for one upstream request. The first came with the slot; another is waited for, ahead of all
    /// who wait for a slot.
    ///
    /// # Errors
    /// [`BudgetRejection`], where there is none until `until`.
    pub async fn token(&mut self, kind: Kind, until: Instant) -> Result<Token<'_>, BudgetRejection> {
        let Some(slot) = &mut self.0 else {
            return Ok(Token(None));
        };
        if slot.first != Some(kind) {
            slot.give_back_first();
            slot.budget.follow_up(slot.queue, kind, until).await?;
        }
        slot.first = None;
        Ok(Token(Some(Unspent {
            slot,
            kind,
            sent: None,
        })))
    }
}

impl InFlightSlot {
    /// Counts the next request against the tenant's own limit as well, where the exchange has used it already.
    ///
    /// # Errors
    /// [`BudgetRejection`] where that has no room; nobody waits for it with a slot in flight.
    pub fn count_next(&mut self) -> Result<(), BudgetRejection> {
        let Some(slot) = &mut self.0 else {
            return Ok(());
        };
        if slot.is_counted {
            let queue = slot.queue;
            let reserved = slot
                .budget
                .change(|admission, now| admission.reserve_own(queue, now));
            reserved.map_err(|rejection| slot.budget.count_refused(rejection))?;
            slot.is_counted = false;
        }
        Ok(())
    }
}

impl Held {
    fn give_back_first(&mut self) {
        if let Some(kind) = self.first.take() {
            self.budget.change(|admission, _| admission.give_back(kind));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (queue, first, is_counted) = (self.queue, self.first, self.is_counted);
        self.budget.change(|admission, now| {
            if let Some(kind) = first {
                admission.give_back(kind);
            }
            admission.leave(queue, is_counted, now);
        });
    }
}

impl Token<'_> {
    /// Permission for one more request of the same kind, for one that has to be sent again.
    ///
    /// # Errors
    /// [`BudgetRejection`], where there is none until `until`.
    pub async fn another(mut self, until: Instant) -> Result<Self, BudgetRejection> {
        if let Some(Unspent { slot, kind, sent }) = &mut self.0
            && sent.is_some()
        {
            slot.budget.follow_up(slot.queue, *kind, until).await?;
            *sent = None;
        }
        Ok(self)
    }

    /// The request goes out now, and counts from now on.
    pub fn sent(&mut self) {
        let Some(Unspent { slot, kind, sent }) = &mut self.0 else {
            return;
        };
        if sent.is_some() {
            return;
        }
        let (kind, queue, has_counted) = (*kind, slot.queue, !slot.is_counted);
        let at = slot.budget.change(|admission, now| {
            admission.sent(kind, now);
            if has_counted {
                admission.sent_own(queue, now);
            }
            now
        });
        slot.is_counted = true;
        *sent = Some(Sent { at, has_counted });
    }

    /// Not a byte of the request went out after all; the token can be used again.
    pub fn unsent(&mut self) {
        let Some(Unspent { slot, kind, sent }) = &mut self.0 else {
            return;
        };
        let Some(Sent { at, has_counted }) = sent.take() else {
            return;
        };
        let (kind, queue) = (*kind, slot.queue);
        slot.budget.change(|admission, now| {
            admission.unsent(kind, at);
            if has_counted {
                admission.unsent_own(queue, at, now);
            }
        });
        if has_counted {
            slot.is_counted = false;
        }
    }
}

impl Drop for Unspent<'_> {
    fn drop(&mut self) {
        let kind = self.kind;
        if self.sent.is_none() {
            self.slot.budget.change(|admission, _| admission.give_back(kind));
        }
    }
}

impl fmt::Debug for Unspent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unspent")
            .field("kind", &self.kind)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
