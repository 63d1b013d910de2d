use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;

use super::{AuditRecord, AuditTenant};
use crate::contract::Operation;
use crate::environment::{Difference, EnvironmentId, State, diff};
use crate::tenancy::{KeyId, Tenant};
use crate::text::NoRandomNumbers;

/// Environments whose documents take more than this together are not kept until they are compared.
const MOST_KEPT_BYTES: usize = 128 * 1024;

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOutcome {
    /// It was done.
    Ok,
    /// It was not done.
    Refused,
    /// It went up, and there is no answer that says whether it was done.
    Unknown,
    /// It was done, and what resulted breaks the policy of the tenant's plan.
    PolicyBreach,
}

impl AuditOutcome {
    /// All ways to end.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Refused, Self::Unknown, Self::PolicyBreach];

    /// What stands in the place of an error where the end of the process cut a write off.
    pub const CUT_OFF: &'static str = "cut_off";

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::PolicyBreach => "policy_breach",
        }
    }
}

/// What was asked, as records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditOperation {
    /// A tenant's write.
    Write(Operation),
    /// A tenant's delete with `force=true`.
    ForceDelete,
    /// The operator made an environment a tenant's.
    Adopt,
    /// The operator made a tenant.
    CreateTenant,
    /// The operator moved a tenant to another plan, suspended it or let it in again.
    UpdateTenant,
    /// The operator took a tenant away, with its keys.
    DeleteTenant,
    /// The operator gave a tenant a key.
    CreateKey,
    /// The operator replaced a key by another.
    RotateKey,
    /// The operator made a key void.
    RevokeKey,
    /// The gateway went over to other settings, plans among them.
    Reload,
    /// The operator changed what is logged.
    SetLogLevel,
    /// The operator said that findings of drift are known.
    AcknowledgeDrift,
}

impl AuditOperation {
    /// All that records can be of.
    pub const ALL: [Self; 15] = [
        Self::Write(Operation::Create),
        Self::Write(Operation::Update),
        Self::Write(Operation::Delete),
        Self::Write(Operation::Archive),
        Self::ForceDelete,
        Self::Adopt,
        Self::CreateTenant,
        Self::UpdateTenant,
        Self::DeleteTenant,
        Self::CreateKey,
        Self::RotateKey,
        Self::RevokeKey,
        Self::Reload,
        Self::SetLogLevel,
        Self::AcknowledgeDrift,
    ];

    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Write(operation) => operation.name(),
            Self::ForceDelete => "force_delete",
            Self::Adopt => "adopt",
            Self::CreateTenant => "create_tenant",
            Self::UpdateTenant => "update_tenant",
            Self::DeleteTenant => "delete_tenant",
            Self::CreateKey => "create_key",
            Self::RotateKey => "rotate_key",
            Self::RevokeKey => "revoke_key",
            Self::Reload => "reload",
            Self::SetLogLevel => "set_log_level",
            Self::AcknowledgeDrift => "acknowledge_drift",
        }
    }
}

/// A write as the task of its request hands it over: cheap to make, with its documents as they came.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    /// When it ended.
    pub at: Timestamp,
    /// Who wrote.
    pub tenant: Arc<Tenant>,
    /// With which key; [`KeyId::OPERATOR`] where the operator acted.
    pub key: KeyId,
    /// Who acted, where that is not told by the key.
    pub actor: Option<String>,
    /// The address of whoever wrote; none where nobody knows.
    pub client_address: Option<IpAddr>,
    /// What was asked.
    pub operation: AuditOperation,
    /// Of which environment, where that is known.
    pub environment: Option<EnvironmentId>,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// What the client got; none where its connection was cut off, and for an adoption, which is one of
    /// several that a request asked for.
    pub status: Option<StatusCode>,
    /// The kind of error that the client got, or why it got nothing.
    pub error: Option<&'static str>,
    /// The id of the request.
    pub request_id: String,
    /// The environment before and after.
    pub documents: Documents,
    /// What changed, where it is no environment.
    pub change: Option<Difference>,
    /// How many requests the entry stands for.
    pub repeats: u64,
}

/// An environment as the upstream told it before and after a write, as far as anybody asked.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    before: Option<Bytes>,
    after: Option<Bytes>,
    /// How large they were, where that was too large to keep them.
    omitted_bytes: Option<usize>,
}

impl Documents {
    /// Keeps what is known, unless it is too large to wait in a queue.
    #[must_use]
    pub fn new(before: Option<Bytes>, after: Option<Bytes>) -> Self {
        let bytes = [&before, &after].into_iter().flatten().map(Bytes::len).sum();
        if bytes > MOST_KEPT_BYTES {
            return Self {
                omitted_bytes: Some(bytes),
                ..Self::default()
            };
        }
        Self {
            before,
            after,
            omitted_bytes: None,
        }
    }

    /// Leaves out what is known, but for its size.
    pub(super) fn omit(&mut self) {
        let omitted = self.omitted_bytes.unwrap_or_default() + self.kept_bytes();
        *self = Self {
            omitted_bytes: Some(omitted).filter(|bytes| *bytes > 0),
            ..Self::default()
        };
    }

    /// How much memory they take.
    pub(super) fn kept_bytes(&self) -> usize {
        [&self.before, &self.after]
            .into_iter()
            .flatten()
            .map(Bytes::len)
            .sum()
    }
}

impl AuditEntry {
    /// The record of the entry; its documents are compared here.
    pub(super) fn record(self, stamp_key: &str) -> Result<AuditRecord, NoRandomNumbers> {
        let change = self.change.clone().or_else(|| self.difference(stamp_key));
        // As exact as the store keeps it.
        let at = Timestamp::from_microsecond(self.at.as_microsecond()).unwrap_or(self.at);
        Ok(AuditRecord {
            id: AuditRecord::new_id(at)?,
            at,
            tenant: AuditTenant {
                id: self.tenant.id.0.clone(),
                name: self.tenant.name.clone(),
            },
            key: self.key.to_string(),
            actor: Some(self.actor.unwrap_or_else(|| self.key.to_string())),
            client_address: self.client_address.map(|address| address.to_string()),
            operation: self.operation.name().to_owned(),
            environment: self.environment.map(String::from),
            outcome: self.outcome.name().to_owned(),
            status: self.status.map(|status| status.as_u16()),
            error: self.error.map(str::to_owned),
            request_id: self.request_id,
            repeats: self.repeats,
            change,
        })
    }

    fn difference(&self, stamp_key: &str) -> Option<Difference> {
        let documents = &self.documents;
        if let Some(bytes) = documents.omitted_bytes {
            return Some(Difference::omitted(bytes));
        }
        let before = match self.operation {
            AuditOperation::Write(Operation::Create) => State::Absent,
            _ => documents.before.as_deref().map_or(State::Unknown, State::Read),
        };
        let after = match (self.operation, self.outcome) {
            (AuditOperation::Write(Operation::Delete) | AuditOperation::ForceDelete, AuditOutcome::Ok) => {
                State::Absent
            }
            _ => documents.after.as_deref().map_or(State::Unknown, State::Read),
        };
        // Of an adoption the stamp is all that changed.
        let hidden = (self.operation != AuditOperation::Adopt).then_some(stamp_key);
        diff(before, after, hidden)
    }
}
