use super::directory::next_change;
use super::tenants::tenant_id;
use super::{Store, StoreError, now};
use crate::tenancy::{KeyDigest, KeyId, KeyRecord, KeyText, TenantId};

/// `id`, `tenant_id`, `digest`, `created_at`, `revoked_at`
pub(super) type KeyRow = (String, String, Vec<u8>, String, Option<String>);

/// `id`, `tenant_id`, `digest`, `created_at`, `revoked_at`, and the name of the tenant
type NamedKeyRow = (String, String, Vec<u8>, String, Option<String>, String);

/// A key and the name of its tenant, as a list shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The name of the tenant whose key it is.
    pub tenant_name: String,
    /// The key.
    pub key: KeyRecord,
}

impl Store {
    /// Makes a key for a tenant. This is the only time that its text is seen; the store keeps its digest.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`] or [`StoreError::Unreachable`]
    pub async fn create_key(&self, tenant_name: &str) -> Result<KeyText, StoreError> {
        let text = KeyText::generate()?;
        let mut transaction = self.pool.begin().await?;
        let change = next_change(&mut transaction).await?;
        let tenant = tenant_id(&mut transaction, tenant_name).await?;
        sqlx::query(
            "INSERT INTO keys (digest, id, tenant_id, created_at, change_number) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(text.digest().as_bytes().as_slice())
        .bind(text.id().0)
        .bind(tenant)
        .bind(now())
        .bind(change)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(text)
    }

    /// All keys, or those of one tenant, the oldest first, by tenant.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`], [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn keys(&self, tenant_name: Option<&str>) -> Result<Vec<ListedKey>, StoreError> {
        if let Some(name) = tenant_name {
            tenant_id(&mut *self.pool.acquire().await?, name).await?;
        }
        let rows: Vec<NamedKeyRow> = sqlx::query_as(
            "SELECT keys.id, tenant_id, digest, keys.created_at, revoked_at, name \
             FROM keys JOIN tenants ON tenants.id = tenant_id \
             WHERE $1 = '' OR name = $1 ORDER BY name, keys.created_at, keys.id",
        )
        .bind(tenant_name.unwrap_or_default())
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(listed_key).collect()
    }

    /// Makes a key void, for good. `key` is its visible prefix or its whole text; a key that was revoked
    /// before stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`], [`StoreError::AmbiguousKey`] or [`StoreError::Unreachable`]
    pub async fn revoke_key(&self, key: &str) -> Result<KeyId, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let change = next_change(&mut transaction).await?;
        let digest = KeyDigest::of(key.as_bytes());
        let found: Vec<(String, Vec<u8>, Option<String>)> =
            sqlx::query_as("SELECT id, digest, revoked_at FROM keys WHERE id = $1 OR digest = $2 LIMIT 2")
                .bind(key)
                .bind(digest.as_bytes().as_slice())
                .fetch_all(&mut *transaction)
                .await?;
        let (id, digest, revoked_at) = match <[_; 1]>::try_from(found) {
            Ok([row]) => row,
            Err(rows) if rows.is_empty() => return Err(StoreError::NoSuchKey),
            Err(_) => return Err(StoreError::AmbiguousKey),
        };
        if revoked_at.is_none() {
            sqlx::query("UPDATE keys SET revoked_at = $1, change_number = $2 WHERE digest = $3")
                .bind(now())
                .bind(change)
                .bind(digest)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
        }
        Ok(KeyId(id))
    }
}

pub(super) fn key_record(
    (id, tenant, digest, created_at, revoked_at): KeyRow,
) -> Result<KeyRecord, StoreError> {
    let digest = KeyDigest::from_slice(&digest)
        .ok_or_else(|| StoreError::Unreadable(format!("the digest of key {id} has not 32 bytes")))?;
    Ok(KeyRecord {
        id: KeyId(id),
        tenant: TenantId(tenant),
        digest,
        created_at,
        revoked_at,
    })
}

fn listed_key(
    (id, tenant, digest, created_at, revoked_at, tenant_name): NamedKeyRow,
) -> Result<ListedKey, StoreError> {
    Ok(ListedKey {
        tenant_name,
        key: key_record((id, tenant, digest, created_at, revoked_at))?,
    })
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
