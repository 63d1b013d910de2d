use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::quota::limits::{Kind, Limits};

/// What all replicas of a budget agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedLimits {
    /// What may go up under the budget, from all of them together.
    pub limits: Limits,
    /// How many replicas there are.
    pub replicas: u32,
    /// How long a request counts.
    pub span: Duration,
    /// The longest time that an exchange is in flight.
    pub lease: Duration,
    /// The longest time between a request's admission and its sending.
    pub hold: Duration,
}

impl SharedLimits {
    /// Everything that a replica has done has run out after this long.
    pub(super) fn past(&self) -> Duration {
        self.span + self.lease
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
            replicas: u32,
            slots: i64,
            all: i64,
            create: i64,
            read: i64,
        }
        let limit = |limit: Option<u32>| limit.map_or(-1, i64::from);
        Written {
            span: micros(self.span),
            lease: micros(self.lease),
            hold: micros(self.hold),
            replicas: self.replicas,
            slots: limit(self.limits.concurrent),
            all: limit(self.limits.requests),
            create: limit(self.limits.creates),
            read: limit(self.limits.reads),
        }
        .serialize(serializer)
    }
}

/// What a replica tells Redis, and asks of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::quota) struct Message {
    /// Everything that the replica holds, where Redis may not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) join: Option<ReplicaSnapshot>,
    /// What has been sent since the last message.
    pub(super) sent: Vec<Request>,
    /// What was admitted and will never be sent.
    pub(super) returned: Vec<Request>,
    /// Places that are free again.
    pub(super) left: Vec<String>,
    /// For how long the upstream wants no more requests, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) silence: Option<u64>,
    /// A request that wants to go up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) admit: Option<Admit>,
    /// Whether the replica will do nothing more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) leave: bool,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::quota) enum Answer {
    /// The message was taken; nothing was asked.
    Done,
    /// The request may be sent, and its slot is taken.
    Admitted,
    /// Every slot is taken.
    Full,
    /// There is no room before this much time has gone by.
    Wait(Duration),
    /// It does not know what this replica holds.
    Join,
}

impl Answer {
    /// Reads the script's word and number.
    pub(super) fn read(word: &str, micros: u64) -> Option<Self> {
        Some(match word {
            "done" => Self::Done,
            "admitted" => Self::Admitted,
            "full" => Self::Full,
            "wait" => Self::Wait(Duration::from_micros(micros)),
            "join" => Self::Join,
            _ => return None,
        })
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
