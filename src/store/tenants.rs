use std::collections::HashMap;

use sqlx::AnyConnection;

use super::audit::{AuditOperation, shown_tenant};
use super::error::is_duplicate;
use super::revision::next_revision;
use super::transaction::{query, query_as, query_scalar};
use super::{Store, StoreError, is_name, now};
use crate::tenancy::{Tenant, TenantId, TenantRule};

/// `id`, `name`, `plan`, `created_at`, `is_suspended`
pub(super) type TenantRow = (String, String, String, String, i64);

impl Store {
    /// Makes a tenant on a plan. Whether there is such a plan is for the settings to say, not for the store.
    ///
    /// # Errors
    /// [`StoreError::BadTenantName`], [`StoreError::BadPlanName`], [`StoreError::DuplicateTenant`] or
    /// [`StoreError::Unreachable`]
    pub async fn create_tenant(&self, name: &str, plan: &str) -> Result<Tenant, StoreError> {
        self.create_tenant_under(None, name, plan).await
    }

    /// The same where `rule` allows it. It is judged in the transaction that makes the tenant, so of two that it allows
    /// one by one but not together only one is made.
    ///
    /// # Errors
    /// [`StoreError::StampRequired`] and those of [`Store::create_tenant`]
    pub async fn create_tenant_under(
        &self,
        rule: Option<&TenantRule<'_>>,
        name: &str,
        plan: &str,
    ) -> Result<Tenant, StoreError> {
        if !is_name(name) {
            return Err(StoreError::BadTenantName);
        }
        if !is_name(plan) {
            return Err(StoreError::BadPlanName);
        }
        let tenant = Tenant {
            id: TenantId::generate()?,
            name: name.to_owned(),
            plan: plan.to_owned(),
            created_at: now(),
            is_suspended: false,
        };
        let record = self
            .write(async |connection| {
                let change = next_revision(&mut *connection).await?;
                judge(connection, rule).await?;
                let inserted = query(
                    "INSERT INTO tenants (id, name, plan, created_at, is_suspended, change_number) \
             VALUES ($1, $2, $3, $4, 0, $5)",
                )
                .bind(tenant.id.0.as_str())
                .bind(name)
                .bind(plan)
                .bind(tenant.created_at.as_str())
                .bind(change)
                .execute(&mut *connection)
                .await;
                match inserted {
                    Ok(_) => {}
                    Err(error) if is_duplicate(&error) => {
                        return Err(StoreError::DuplicateTenant(name.to_owned()));
                    }
                    Err(error) => return Err(error.into()),
                }
                let (operation, after) = (AuditOperation::CreateTenant, Some(shown_tenant(&tenant)));
                self.record_change(connection, operation, (&tenant).into(), None, after)
                    .await
            })
            .await?;
        self.tell_file(record);
        Ok(tenant)
    }

    /// All tenants, by name.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        self.read(all_tenants).await
    }

    /// At most `limit` tenants by name, from after `after`, whether there is such a tenant or not; empty is before all.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn tenants_after(&self, after: &str, limit: u16) -> Result<Vec<Tenant>, StoreError> {
        let rows: Vec<TenantRow> = self
            .read(async |connection| {
                let rows = query_as(
                    "SELECT id, name, plan, created_at, is_suspended FROM tenants \
             WHERE name > $1 ORDER BY name LIMIT $2",
                )
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(connection);
                Ok(rows.await?)
            })
            .await?;
        Ok(rows.into_iter().map(tenant).collect())
    }

    /// The tenant with this name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`] or [`StoreError::Unreachable`]
    pub async fn tenant(&self, name: &str) -> Result<Tenant, StoreError> {
        self.read(async |connection| named_tenant(connection, name).await)
            .await
    }

    /// How many tenants each plan has, suspended ones too; plans that have none are left out.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn tenants_by_plan(&self) -> Result<HashMap<String, i64>, StoreError> {
        let counts: Vec<(String, i64)> = self
            .read(async |connection| {
                let counts =
                    query_as("SELECT plan, COUNT(*) FROM tenants GROUP BY plan").fetch_all(connection);
                Ok(counts.await?)
            })
            .await?;
        Ok(counts.into_iter().collect())
    }

    /// Turns a tenant's keys away, or lets them in again.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`] or [`StoreError::Unreachable`]
    pub async fn set_tenant_suspended(&self, name: &str, is_suspended: bool) -> Result<(), StoreError> {
        self.change_tenant(None, name, None, Some(is_suspended))
            .await
            .map(drop)
    }

    /// Moves a tenant to another plan. Whether there is such a plan is for the settings to say.
    ///
    /// # Errors
    /// [`StoreError::BadPlanName`], [`StoreError::NoSuchTenant`] or [`StoreError::Unreachable`]
    pub async fn set_tenant_plan(&self, name: &str, plan: &str) -> Result<(), StoreError> {
        self.change_tenant(None, name, Some(plan), None).await.map(drop)
    }

    /// Moves a tenant to another plan, suspends it or lets it in again, or both in one, where `rule` allows it; what is
    /// none stays.
    ///
    /// # Errors
    /// [`StoreError::StampRequired`], [`StoreError::BadPlanName`], [`StoreError::NoSuchTenant`] or [`StoreError::Unreachable`]
    pub async fn change_tenant(
        &self,
        rule: Option<&TenantRule<'_>>,
        name: &str,
        plan: Option<&str>,
        is_suspended: Option<bool>,
    ) -> Result<Tenant, StoreError> {
        if plan.is_some_and(|plan| !is_name(plan)) {
            return Err(StoreError::BadPlanName);
        }
        let (changed, record) = self
            .write(async |connection| {
                let change = next_revision(&mut *connection).await?;
                judge(connection, rule).await?;
                let known = named_tenant(&mut *connection, name).await?;
                let before = Some(shown_tenant(&known));
                let changed = Tenant {
                    plan: plan.map_or(known.plan, str::to_owned),
                    is_suspended: is_suspended.unwrap_or(known.is_suspended),
                    ..known
                };
                query("UPDATE tenants SET plan = $1, is_suspended = $2, change_number = $3 WHERE id = $4")
                    .bind(changed.plan.as_str())
                    .bind(i64::from(changed.is_suspended))
                    .bind(change)
                    .bind(changed.id.0.as_str())
                    .execute(&mut *connection)
                    .await?;
                let (operation, after) = (AuditOperation::UpdateTenant, Some(shown_tenant(&changed)));
                let record = self
                    .record_change(connection, operation, (&changed).into(), before, after)
                    .await?;
                Ok((changed, record))
            })
            .await?;
        self.tell_file(record);
        Ok(changed)
    }

    /// Takes a tenant away with all its keys. Its name is free again; its id stays behind as taken, because
    /// environments upstream may still bear it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`] or [`StoreError::Unreachable`]
    pub async fn delete_tenant(&self, name: &str) -> Result<TenantId, StoreError> {
        let (id, record) = self
            .write(async |connection| {
                let change = next_revision(&mut *connection).await?;
                let tenant = named_tenant(&mut *connection, name).await?;
                let id = &tenant.id.0;
                for statement in [
                    "DELETE FROM keys WHERE tenant_id = $1",
                    "DELETE FROM tenants WHERE id = $1",
                ] {
                    query(statement)
                        .bind(id.as_str())
                        .execute(&mut *connection)
                        .await?;
                }
                query(
                "INSERT INTO deleted_tenants (id, name, deleted_at, change_number) VALUES ($1, $2, $3, $4)",
            )
            .bind(id.as_str())
            .bind(name)
            .bind(now())
            .bind(change)
            .execute(&mut *connection)
            .await?;
                let (operation, before) = (AuditOperation::DeleteTenant, Some(shown_tenant(&tenant)));
                let record = self
                    .record_change(connection, operation, (&tenant).into(), before, None)
                    .await?;
                Ok((tenant.id, record))
            })
            .await?;
        self.tell_file(record);
        Ok(id)
    }
}

async fn all_tenants(connection: &mut AnyConnection) -> Result<Vec<Tenant>, StoreError> {
    let rows: Vec<TenantRow> =
        query_as("SELECT id, name, plan, created_at, is_suspended FROM tenants ORDER BY name")
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(tenant).collect())
}

/// Asks a rule about all tenants that there are. Nobody else changes them until the transaction ends, where it has taken
/// its revision before.
async fn judge(connection: &mut AnyConnection, rule: Option<&TenantRule<'_>>) -> Result<(), StoreError> {
    match rule {
        Some(rule) => Ok(rule(&all_tenants(connection).await?)?),
        None => Ok(()),
    }
}

/// The id of the tenant with this name.
pub(super) async fn tenant_id(connection: &mut AnyConnection, name: &str) -> Result<String, StoreError> {
    query_scalar("SELECT id FROM tenants WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| StoreError::NoSuchTenant(name.to_owned()))
}

async fn named_tenant(connection: &mut AnyConnection, name: &str) -> Result<Tenant, StoreError> {
    let row: Option<TenantRow> =
        query_as("SELECT id, name, plan, created_at, is_suspended FROM tenants WHERE name = $1")
            .bind(name)
            .fetch_optional(connection)
            .await?;
    row.map(tenant)
        .ok_or_else(|| StoreError::NoSuchTenant(name.to_owned()))
}

pub(super) fn tenant((id, name, plan, created_at, is_suspended): TenantRow) -> Tenant {
    Tenant {
        id: TenantId(id),
        name,
        plan,
        created_at,
        is_suspended: is_suspended != 0,
    }
}

#[cfg(test)]
mod tests;
