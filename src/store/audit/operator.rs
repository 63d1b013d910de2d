//! What the operator changes, which is recorded in the transaction that changes it: there is no change without its
//! record, and no record without its change.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::{Audit, AuditEntry, AuditOperation, AuditOutcome, AuditRecord, Documents, rows};
use crate::environment::{Difference, State, diff};
use crate::store::{Store, StoreError};
use crate::tenancy::{KeyId, KeyTerms, Restrictions, Tenant, TenantId};
use crate::text::{format_timestamp, random_base58};

/// Who changes tenants and keys.
#[derive(Clone, Debug)]
pub struct Operator {
    /// As the audit tells them: the name of a token, the subject of a certificate, or the user of a command.
    pub name: String,
    /// From which address they asked; none for a command.
    pub client_address: Option<IpAddr>,
}

/// What a store notes of each change to tenants and keys.
#[derive(Debug)]
pub(in crate::store) struct Recording {
    operator: Operator,
    /// Where the file of the audit is written, which has every record too.
    audit: Option<Audit>,
}

impl Store {
    /// The same store, whose changes to tenants and keys are recorded as this operator's. `audit` is that of the
    /// gateway, for its file.
    #[must_use]
    pub fn operated_by(&self, operator: Operator, audit: Option<Audit>) -> Self {
        Self {
            recording: Some(Arc::new(Recording { operator, audit })),
            ..self.clone()
        }
    }

    /// Records a change in its own transaction, where somebody is named who makes it.
    pub(in crate::store) async fn record_change(
        &self,
        connection: &mut AnyConnection,
        operation: AuditOperation,
        tenant: TenantOfChange<'_>,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<Option<AuditRecord>, StoreError> {
        let Some(recording) = &self.recording else {
            return Ok(None);
        };
        let tenant = Tenant {
            id: TenantId(tenant.id.to_owned()),
            name: tenant.name.to_owned(),
            ..nobody()
        };
        let change = difference(before.as_ref(), after.as_ref());
        let entry = entry(&recording.operator, operation, tenant, change)?;
        // No environment is in it, so no stamp either.
        let record = entry.record("")?;
        rows::insert(connection, self.backend, std::slice::from_ref(&record)).await?;
        Ok(Some(record))
    }

    /// Tells the file of the audit what is in the store by now.
    pub(in crate::store) fn tell_file(&self, record: Option<AuditRecord>) {
        let audit = self
            .recording
            .as_ref()
            .and_then(|recording| recording.audit.as_ref());
        if let (Some(audit), Some(record)) = (audit, record) {
            audit.note_recorded(record);
        }
    }
}

impl Audit {
    /// Records what the operator did to the gateway itself, such as other settings, which are in no store. `change`
    /// is what became of what, without a secret.
    ///
    /// # Errors
    /// Where the system has no random numbers to give.
    pub fn record_admin(
        &self,
        operator: &Operator,
        operation: AuditOperation,
        change: Option<Value>,
    ) -> Result<(), StoreError> {
        let change = change.as_ref().map(Difference::from);
        self.note(entry(operator, operation, nobody(), change)?);
        Ok(())
    }
}

/// Whose tenant or keys a change is about.
#[derive(Clone, Copy)]
pub(in crate::store) struct TenantOfChange<'a> {
    pub(in crate::store) id: &'a str,
    pub(in crate::store) name: &'a str,
}

impl<'a> From<&'a Tenant> for TenantOfChange<'a> {
    fn from(tenant: &'a Tenant) -> Self {
        Self {
            id: &tenant.id.0,
            name: &tenant.name,
        }
    }
}

/// What stands in the place of a tenant where none is meant.
fn nobody() -> Tenant {
    Tenant {
        id: TenantId(String::new()),
        name: String::new(),
        plan: String::new(),
        created_at: String::new(),
        is_suspended: false,
    }
}

fn entry(
    operator: &Operator,
    operation: AuditOperation,
    tenant: Tenant,
    change: Option<Difference>,
) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        at: Timestamp::now(),
        tenant: Arc::new(tenant),
        key: KeyId::OPERATOR,
        actor: Some(operator.name.clone()),
        client_address: operator.client_address,
        operation,
        environment: None,
        outcome: AuditOutcome::Ok,
        status: None,
        error: None,
        request_id: format!("req_{}", random_base58()?),
        documents: Documents::default(),
        change,
        repeats: 1,
    })
}

fn difference(before: Option<&Value>, after: Option<&Value>) -> Option<Difference> {
    let [before, after] = [before, after].map(|document| document.map(ToString::to_string));
    diff(state(before.as_deref()), state(after.as_deref()), None)
}

fn state(document: Option<&str>) -> State<'_> {
    document.map_or(State::Absent, |text| State::Read(text.as_bytes()))
}

/// A tenant as records show it.
pub(in crate::store) fn shown_tenant(tenant: &Tenant) -> Value {
    json!({
        "name": tenant.name,
        "plan": tenant.plan,
        "suspended": tenant.is_suspended,
    })
}

/// What a key is good for, as records show it.
pub(in crate::store) fn shown_terms(terms: &KeyTerms) -> Value {
    let restrictions = terms.restrictions.as_ref();
    let operations = restrictions.and_then(Restrictions::operations);
    let operations =
        operations.map(|named| named.iter().map(|operation| operation.name()).collect::<Vec<_>>());
    json!({
        "label": terms.label,
        "expires_at": terms.expires_at.map(format_timestamp),
        "operations": operations,
        "environments": restrictions.and_then(Restrictions::environments),
    })
}

#[cfg(test)]
mod tests;
