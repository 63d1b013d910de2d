use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::budget::Budget;
use super::kind::Kind;
use super::lanes::LaneId;
use super::limits::Refused;

/// An exchange's place in flight, across all upstream requests that it needs. Dropped, it is another's.
#[derive(Debug)]
pub struct Place(Option<Taken>);

#[derive(Debug)]
struct Taken {
    budget: Arc<Budget>,
    lane: LaneId,
    /// The kind of request that was admitted with the place, while no token was asked for.
    first: Option<Kind>,
    /// Whether the exchange has used the tenant's own limit.
    is_counted: bool,
}

/// One upstream request that may be sent. Dropped unsent, it is given back.
#[derive(Debug)]
#[must_use = "a token that is dropped unsent is given back"]
pub struct Token<'p>(Option<Unspent<'p>>);

struct Unspent<'p> {
    place: &'p mut Taken,
    kind: Kind,
    sent: Option<Sent>,
}

/// When a request went out, and whether it was the one that used the tenant's own limit.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    has_counted: bool,
}

impl Place {
    /// A place where nothing is limited.
    #[must_use]
    pub const fn free() -> Self {
        Self(None)
    }

    pub(super) const fn taken(budget: Arc<Budget>, lane: LaneId, first: Kind) -> Self {
        Self(Some(Taken {
            budget,
            lane,
            first: Some(first),
            is_counted: false,
        }))
    }

    /// Permission for one upstream request. The first came with the place; another is waited for, ahead of all who
    /// wait for a place.
    ///
    /// # Errors
    /// [`Refused`], where there is none until `until`.
    pub async fn token(&mut self, kind: Kind, until: Instant) -> Result<Token<'_>, Refused> {
        let Some(place) = &mut self.0 else {
            return Ok(Token(None));
        };
        if place.first != Some(kind) {
            place.give_back_first();
            place.budget.follow_up(place.lane, kind, until).await?;
        }
        place.first = None;
        Ok(Token(Some(Unspent {
            place,
            kind,
            sent: None,
        })))
    }
}

impl Taken {
    fn give_back_first(&mut self) {
        if let Some(kind) = self.first.take() {
            self.budget.change(|admission, _| admission.give_back(kind));
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (lane, first, is_counted) = (self.lane, self.first, self.is_counted);
        self.budget.change(|admission, now| {
            if let Some(kind) = first {
                admission.give_back(kind);
            }
            admission.leave(lane, is_counted, now);
        });
    }
}

impl Token<'_> {
    /// Permission for a request that nothing limits.
    pub const fn free() -> Self {
        Self(None)
    }

    /// Permission for one more request of the same kind, for one that has to be sent again.
    ///
    /// # Errors
    /// [`Refused`], where there is none until `until`.
    pub async fn another(mut self, until: Instant) -> Result<Self, Refused> {
        if let Some(Unspent { place, kind, sent }) = &mut self.0
            && sent.is_some()
        {
            place.budget.follow_up(place.lane, *kind, until).await?;
            *sent = None;
        }
        Ok(self)
    }

    /// The request goes out now, and counts from now on.
    pub fn sent(&mut self) {
        let Some(Unspent { place, kind, sent }) = &mut self.0 else {
            return;
        };
        if sent.is_some() {
            return;
        }
        let (kind, lane, has_counted) = (*kind, place.lane, !place.is_counted);
        let at = place.budget.change(|admission, now| {
            admission.sent(kind, now);
            if has_counted {
                admission.sent_own(lane, now);
            }
            now
        });
        place.is_counted = true;
        *sent = Some(Sent { at, has_counted });
    }

    /// Not a byte of the request went out after all; the token can be used again.
    pub fn unsent(&mut self) {
        let Some(Unspent { place, kind, sent }) = &mut self.0 else {
            return;
        };
        let Some(Sent { at, has_counted }) = sent.take() else {
            return;
        };
        let (kind, lane) = (*kind, place.lane);
        place.budget.change(|admission, now| {
            admission.unsent(kind, at);
            if has_counted {
                admission.unsent_own(lane, at, now);
            }
        });
        if has_counted {
            place.is_counted = false;
        }
    }
}

impl Drop for Unspent<'_> {
    fn drop(&mut self) {
        let kind = self.kind;
        if self.sent.is_none() {
            self.place.budget.change(|admission, _| admission.give_back(kind));
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
