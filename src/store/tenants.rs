use super::directory::next_change;
use super::error::is_duplicate;
use super::{Store, StoreError, now};
use crate::tenancy::{Tenant, TenantId};

/// `id`, `name`, `created_at`, `is_suspended`
pub(super) type TenantRow = (String, String, String, i64);

impl Store {
    /// Makes a tenant.
    ///
    /// # Errors
    /// [`StoreError::BadTenantName`], [`StoreError::DuplicateTenant`] or [`StoreError::Unreachable`]
    pub async fn create_tenant(&self, name: &str) -> Result<Tenant, StoreError> {
        if !(1..=64).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(StoreError::BadTenantName);
        }
        let tenant = Tenant {
            id: TenantId::generate()?,
            name: name.to_owned(),
            created_at: now(),
            is_suspended: false,
        };
        let mut transaction = self.pool.begin().await?;
        let change = next_change(&mut transaction).await?;
        let inserted = sqlx::query(
            "INSERT INTO tenants (id, name, created_at, is_suspended, change_number) VALUES ($1, $2, $3, 0, $4)",
        )
        .bind(tenant.id.0.as_str())
        .bind(name)
        .bind(tenant.created_at.as_str())
        .bind(change)
        .execute(&mut *transaction)
        .await;
        match inserted {
            Ok(_) => transaction.commit().await?,
            Err(error) if is_duplicate(&error) => return Err(StoreError::DuplicateTenant(name.to_owned())),
            Err(error) => return Err(error.into()),
        }
        Ok(tenant)
    }

    /// All tenants, by name.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let rows: Vec<TenantRow> =
            sqlx::query_as("SELECT id, name, created_at, is_suspended FROM tenants ORDER BY name")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(tenant).collect())
    }

    /// Turns a tenant's keys away, or lets them in again.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`] or [`StoreError::Unreachable`]
    pub async fn set_tenant_suspended(&self, name: &str, is_suspended: bool) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let change = next_change(&mut transaction).await?;
        let updated = sqlx::query("UPDATE tenants SET is_suspended = $1, change_number = $2 WHERE name = $3")
            .bind(i64::from(is_suspended))
            .bind(change)
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(StoreError::NoSuchTenant(name.to_owned()));
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The id of the tenant with this name.
    pub(super) async fn tenant_id(&self, name: &str) -> Result<String, StoreError> {
        sqlx::query_scalar("SELECT id FROM tenants WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::NoSuchTenant(name.to_owned()))
    }
}

pub(super) fn tenant((id, name, created_at, is_suspended): TenantRow) -> Tenant {
    Tenant {
        id: TenantId(id),
        name,
        created_at,
        is_suspended: is_suspended != 0,
    }
}

#[cfg(test)]
#[path = "tenants_tests.rs"]
mod tests;
