//! What the tests of the audit share.

use std::sync::Arc;

use http::StatusCode;
use jiff::Timestamp;

use super::{AuditEntry, AuditOperation, AuditOutcome, AuditRecord, Documents};
use crate::contract::Operation;
use crate::environment::EnvironmentId;
use crate::tenancy::{KeyId, Tenant, TenantId};

pub(super) fn tenant(id: &str) -> Tenant {
    Tenant {
        id: TenantId(id.to_owned()),
        name: "acme".to_owned(),
        plan: "default".to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        is_suspended: false,
    }
}

pub(super) fn entry() -> AuditEntry {
    AuditEntry {
        at: Timestamp::constant(1_780_048_800, 0),
        tenant: Arc::new(tenant("ten_1")),
        key: KeyId::parse("sk-eg-abcdefgh").unwrap(),
        actor: None,
        client_address: Some([192, 0, 2, 1].into()),
        operation: AuditOperation::Write(Operation::Update),
        environment: EnvironmentId::parse("env_1").ok(),
        outcome: AuditOutcome::Ok,
        status: Some(StatusCode::OK),
        error: None,
        request_id: "req_1".to_owned(),
        documents: Documents::default(),
        change: None,
        repeats: 1,
    }
}

pub(super) fn refusal() -> AuditEntry {
    AuditEntry {
        outcome: AuditOutcome::Refused,
        status: Some(StatusCode::FORBIDDEN),
        error: Some("policy"),
        ..entry()
    }
}

/// A record of a second after 1970.
pub(super) fn record(second: i64) -> AuditRecord {
    let at = Timestamp::from_second(second).unwrap();
    AuditEntry { at, ..entry() }.record("envgate:tenant").unwrap()
}
