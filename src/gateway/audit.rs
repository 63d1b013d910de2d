//! The one place where writes are handed over to the audit.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;

use super::record::Record;
use super::state::Gateway;
use crate::contract::ApiError;
use crate::environment::EnvironmentId;
use crate::store::{AuditEntry, AuditOperation, AuditOutcome, Documents};
use crate::tenancy::{Adoption, AdoptionRefusal, Caller, Tenant};
use crate::upstream::WriteSent;

/// The record of a request that is being answered. Where its task is dropped before there is an answer, because the
/// process stops, a write that had gone up is recorded all the same.
pub(super) struct OpenRecord<'a> {
    gateway: &'a Gateway,
    write_sent: &'a WriteSent,
    pub(super) record: Record,
    is_noted: bool,
}

impl<'a> OpenRecord<'a> {
    /// Of a request whose write, if it is one, tells `write_sent` when it is sent.
    pub(super) fn start(gateway: &'a Gateway, write_sent: &'a WriteSent) -> Self {
        Self {
            gateway,
            write_sent,
            record: Record::start(),
            is_noted: false,
        }
    }

    /// Hands a write of a known caller over to the audit, whatever became of it.
    pub(super) fn note_write(&mut self, status: StatusCode, error: Option<&ApiError>) {
        let outcome = self.record.trail.outcome(self.write_sent.is_set(), error);
        self.note(outcome, Some(status), error.map(ApiError::kind));
    }

    fn note(&mut self, outcome: AuditOutcome, status: Option<StatusCode>, error: Option<&'static str>) {
        self.is_noted = true;
        if let Some(operation) = self.record.operation.filter(|operation| operation.is_write()) {
            let ending = (outcome, status, error);
            self.gateway
                .hand_over(&mut self.record, AuditOperation::Write(operation), ending);
        }
    }
}

impl Drop for OpenRecord<'_> {
    fn drop(&mut self) {
        if !self.is_noted && self.write_sent.is_set() {
            self.note(AuditOutcome::Unknown, None, Some(AuditOutcome::CUT_OFF));
        }
    }
}

/// How a write ended, what the client got, and with which kind of error.
type Ending = (AuditOutcome, Option<StatusCode>, Option<&'static str>);

impl Gateway {
    /// Hands an adoption over to the audit, unless the environment was the tenant's before.
    pub(super) fn note_adoption(
        &self,
        record: &mut Record,
        tenant: Arc<Tenant>,
        id: &EnvironmentId,
        write_sent: &WriteSent,
        adoption: &Result<Adoption, ApiError>,
    ) {
        let (outcome, error) = match adoption {
            Ok(Adoption::AlreadyOwn) => return,
            Ok(Adoption::Adopted) => (AuditOutcome::Ok, None),
            // The upstream said that it has done it.
            Ok(Adoption::Refused(refusal @ AdoptionRefusal::NotKept)) => {
                (AuditOutcome::Unknown, Some(refusal.code()))
            }
            Ok(Adoption::Refused(refusal)) => (AuditOutcome::Refused, Some(refusal.code())),
            Err(error) => {
                let outcome = record.trail.outcome(write_sent.is_set(), Some(error));
                (outcome, Some(error.kind()))
            }
        };
        record.caller = Some(Caller::operator(tenant));
        record.trail.environment = Some(id.clone());
        self.hand_over(record, AuditOperation::Adopt, (outcome, None, error));
    }

    fn hand_over(&self, record: &mut Record, operation: AuditOperation, (outcome, status, error): Ending) {
        let trail = std::mem::take(&mut record.trail);
        let Some(audit) = &self.audit else { return };
        let Some((tenant, key)) = record
            .caller
            .as_ref()
            .map(|caller| (caller.tenant.clone(), caller.key))
        else {
            return;
        };
        let documents = match outcome {
            AuditOutcome::Refused => Documents::default(),
            _ => Documents::new(trail.before, trail.after),
        };
        audit.note(AuditEntry {
            at: Timestamp::now(),
            tenant,
            key,
            operation,
            environment: trail.environment,
            outcome,
            status,
            error,
            request_id: record.request_id().to_owned(),
            documents,
            repeats: 1,
        });
    }
}
