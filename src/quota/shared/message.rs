use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use crate::quota::learning::least_learned;
use crate::quota::limits::{Kind, Limits, Rate};

/// What all replicas of a budget agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedLimits {
    /// What may go up under the budget, from all of them together.
    pub limits: Limits,
    /// Whether the upstream's refusals lower that for a while.
    pub learn: bool,
    /// How many replicas there are.
    pub replicas: u32,
    /// How long a request counts.
    pub span: Duration,
    /// The longest time that an exchange is in flight.
    pub lease: Duration,
    /// The longest time between a request's admission and its sending.
    pub hold: Duration,
    /// How long one that Redis does not answer goes by its share.
    pub alone: Duration,
}

impl SharedLimits {
    /// Everything that a replica has done has run out after this long.
    pub(super) fn past(&self) -> Duration {
        self.span + self.lease
    }

    /// The seat of one that is silent is nobody else's for so long: until all that it may do alone has run
    /// out.
    pub(super) fn tenure(&self) -> Duration {
        self.alone + self.hold + self.span.max(self.lease)
    }
}

/// The limits as the script reads them: times in microseconds, -1 for no limit.
impl Serialize for SharedLimits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written {
            span: u64,
            lease: u64,
            hold: u64,
            alone: u64,
            replicas: u32,
            least: u32,
            learn: u8,
            slots: i64,
            requests: i64,
            creates: i64,
            writes: i64,
            reads: i64,
        }
        let limit = |limit: Option<u32>| limit.map_or(-1, i64::from);
        Written {
            span: micros(self.span),
            lease: micros(self.lease),
            hold: micros(self.hold),
            alone: micros(self.alone),
            replicas: self.replicas,
            least: least_learned(self.replicas),
            learn: u8::from(self.learn),
            slots: limit(self.limits.concurrent),
            requests: limit(self.limits.requests),
            creates: limit(self.limits.creates),
            writes: limit(self.limits.writes),
            reads: limit(self.limits.reads),
        }
        .serialize(serializer)
    }
}

/// What a replica tells Redis, and asks of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::quota) struct Message {
    /// When Redis gave the last answer that arrived, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answered_at: Option<String>,
    /// How long ago that was asked for, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) elapsed: Option<u64>,
    /// Everything that the replica holds, where Redis may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) join: Option<ReplicaSnapshot>,
    /// What has been sent since the last message.
    pub(super) sent: Vec<Request>,
    /// What was admitted and will never be sent.
    pub(super) returned: Vec<Request>,
    /// Slots that are free again.
    pub(super) left: Vec<String>,
    /// How many requests the upstream has accepted.
    pub(in crate::quota) accepted: AcceptedCounts,
    /// The rates of which the upstream has refused one.
    pub(super) refused: Vec<&'static str>,
    /// For how long the upstream wants no more requests, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) silence: Option<u64>,
    /// The requests that want to go up, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) admit: Vec<Admit>,
    /// Whether the replica will do nothing more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) leave: bool,
}

/// How many requests the upstream has accepted since that was last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::quota) struct AcceptedCounts {
    pub(in crate::quota) reads: u32,
    pub(in crate::quota) writes: u32,
}

/// An upstream request by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Request {
    pub(super) kind: &'static str,
    pub(super) member: String,
}

/// A request that wants to go up, under the names that it and its slot will have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Admit {
    pub(super) kind: &'static str,
    pub(super) member: String,
    /// None where the exchange has its slot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slot: Option<String>,
}

/// What a replica has sent, may yet send and has in flight.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct ReplicaSnapshot {
    pub(super) requests: Vec<HeldRequest>,
    pub(super) slots: Vec<HeldSlot>,
    /// The seat that it goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seat: Option<u32>,
    /// Whether some Redis has known it before.
    pub(super) is_known: bool,
    /// Of how many replicas anything could count when it last did.
    pub(super) recent: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct HeldRequest {
    pub(super) kind: &'static str,
    pub(super) member: String,
    /// How long ago it was sent, in microseconds; below zero where that is yet to come.
    pub(super) age: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct HeldSlot {
    pub(super) member: String,
    /// How long its exchange may go on, in microseconds.
    pub(super) left: u64,
}

/// What Redis says.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(in crate::quota) struct Answer {
    pub(super) word: Word,
    /// What comes of each request that wanted to go up, in their order.
    #[serde(default)]
    pub(super) results: Vec<AdmitResult>,
    /// When, by its own clock.
    pub(super) at: String,
    /// The seat that the replica has.
    pub(super) seat: Option<u32>,
    /// How many replicas there are.
    pub(super) present: u32,
    /// Of how many replicas anything may count.
    pub(super) recent: u32,
    #[serde(default)]
    pub(super) learned: LearnedLimits,
}

/// What Redis says of a message.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    /// It was taken.
    #[default]
    Done,
    /// It does not know what this replica holds.
    Join,
}

/// What comes of a request that wants to go up.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "i64")]
pub(super) enum AdmitResult {
    /// It may be sent, and its slot is taken.
    Admitted,
    /// Every slot is taken.
    Full,
    /// There is no room for so long.
    Wait(Duration),
}

impl From<i64> for AdmitResult {
    fn from(number: i64) -> Self {
        match number {
            0 => Self::Admitted,
            ..0 => Self::Full,
            1.. => Self::Wait(Duration::from_micros(number.unsigned_abs())),
        }
    }
}

/// The limits that all replicas have learned.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub(super) struct LearnedLimits {
    pub(super) reads: Option<LearnedLimit>,
    pub(super) writes: Option<LearnedLimit>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct LearnedLimit {
    pub(super) limit: u32,
    pub(super) taught: u32,
    /// How long ago it last grew, in microseconds.
    pub(super) age: u64,
}

impl LearnedLimits {
    pub(super) const fn of(&self, rate: Rate) -> Option<LearnedLimit> {
        match rate {
            Rate::Reads => self.reads,
            Rate::Writes => self.writes,
            Rate::Requests | Rate::Creates => None,
        }
    }
}

/// The name of a kind in the script.
pub(super) const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Create => "create",
        Kind::Read => "read",
        Kind::OtherWrite => "other_write",
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
