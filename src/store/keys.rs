use jiff::Timestamp;
use serde_json::json;
use sqlx::{AnyConnection, FromRow};

use super::audit::{AuditOperation, TenantOfChange, shown_terms};
use super::key_columns::{self, KeyColumns};
use super::revision::next_revision;
use super::tenants::tenant_id;
use super::transaction::{query, query_as};
use super::{Store, StoreError, now};
use crate::tenancy::{KeyDigest, KeyId, KeyTerms, KeyText};
use crate::text::format_timestamp;

/// A key as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The name of the tenant whose key it is.
    pub tenant_name: String,
    /// Its visible prefix.
    pub id: KeyId,
    /// Its label, expiry and restrictions.
    pub terms: KeyTerms,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it was revoked, RFC 3339; none where it was not.
    pub revoked_at: Option<String>,
    /// When it was last used, a minute or so ago at the latest; none where it never was.
    pub last_used_at: Option<Timestamp>,
}

/// Whether a key lets anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It does.
    Active,
    /// Its date has come.
    Expired,
    /// Somebody made it void.
    Revoked,
}

impl KeyState {
    /// The state as lists show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl ListedKey {
    /// What became of the key by `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.terms.expires_at.is_some_and(|expiry| expiry <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }
}

/// A key that was just made.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key itself, which nobody sees again.
    pub text: KeyText,
    /// The key as lists show it from now on.
    pub listed: ListedKey,
}

/// What a rotation made.
#[derive(Debug)]
pub struct Rotation {
    /// The new key.
    pub issued: IssuedKey,
    /// The old key.
    pub old: KeyId,
    /// When the old key ends.
    pub old_expires_at: Timestamp,
}

#[derive(FromRow)]
struct ListedRow {
    tenant_name: String,
    id: String,
    created_at: String,
    revoked_at: Option<String>,
    last_used_at: Option<String>,
    #[sqlx(flatten)]
    columns: KeyColumns,
}

/// A key that somebody named.
#[derive(FromRow)]
struct NamedRow {
    id: String,
    digest: Vec<u8>,
    tenant_id: String,
    tenant_name: String,
    revoked_at: Option<String>,
    #[sqlx(flatten)]
    columns: KeyColumns,
}

impl Store {
    /// Makes a key for a tenant and gives back its text alone: see [`Store::issue_key`].
    ///
    /// # Errors
    /// Those of [`Store::issue_key`].
    pub async fn create_key(&self, tenant_name: &str, terms: &KeyTerms) -> Result<KeyText, StoreError> {
        Ok(self.issue_key(tenant_name, terms).await?.text)
    }

    /// Makes a key for a tenant. This is the only time that its text is seen; the store keeps its digest.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`], [`StoreError::BadLabel`], [`StoreError::PastExpiry`],
    /// [`StoreError::TooManyEnvironments`] or [`StoreError::Unreachable`]
    pub async fn issue_key(&self, tenant_name: &str, terms: &KeyTerms) -> Result<IssuedKey, StoreError> {
        key_columns::validate(terms)?;
        let (issued, record) = self
            .write(async |connection| {
                let change = next_revision(&mut *connection).await?;
                let tenant = TenantOfChange {
                    id: &tenant_id(&mut *connection, tenant_name).await?,
                    name: tenant_name,
                };
                let issued = insert_key(&mut *connection, tenant, terms.clone(), change).await?;
                let after = json!({ issued.listed.id.as_str(): shown_terms(&issued.listed.terms) });
                let (operation, before) = (AuditOperation::CreateKey, Some(json!({})));
                let record = self
                    .record_change(connection, operation, tenant, before, Some(after))
                    .await?;
                Ok((issued, record))
            })
            .await?;
        self.tell_file(record);
        Ok(issued)
    }

    /// All keys, or those of one tenant, the oldest first, by tenant.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`], [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn keys(&self, tenant_name: Option<&str>) -> Result<Vec<ListedKey>, StoreError> {
        let rows: Vec<ListedRow> = self
            .read(async |connection| {
                if let Some(name) = tenant_name {
                    tenant_id(&mut *connection, name).await?;
                }
                let rows = query_as(
                    "SELECT name AS tenant_name, keys.id, keys.created_at, revoked_at, last_used_at, \
             label, expires_at, operations, environments \
             FROM keys JOIN tenants ON tenants.id = tenant_id \
             WHERE $1 = '' OR name = $1 ORDER BY name, keys.created_at, keys.id",
                )
                .bind(tenant_name.unwrap_or_default())
                .fetch_all(connection);
                Ok(rows.await?)
            })
            .await?;
        rows.into_iter().map(listed_key).collect()
    }

    /// At most `limit` keys of a tenant, the oldest first, from after the one that was made at this time and has this
    /// prefix, whether it is still there or not; from the first where none is named.
    ///
    /// # Errors
    /// [`StoreError::NoSuchTenant`], [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn keys_after(
        &self,
        tenant_name: &str,
        after: Option<(&str, &str)>,
        limit: u16,
    ) -> Result<Vec<ListedKey>, StoreError> {
        let (created_at, id) = after.unwrap_or_default();
        let rows: Vec<ListedRow> = self
            .read(async |connection| {
                let tenant = tenant_id(&mut *connection, tenant_name).await?;
                let rows = query_as(
                    "SELECT name AS tenant_name, keys.id, keys.created_at, revoked_at, last_used_at, \
             label, expires_at, operations, environments \
             FROM keys JOIN tenants ON tenants.id = tenant_id \
             WHERE tenant_id = $1 AND (keys.created_at > $2 OR (keys.created_at = $2 AND keys.id > $3)) \
             ORDER BY keys.created_at, keys.id LIMIT $4",
                )
                .bind(tenant)
                .bind(created_at)
                .bind(id)
                .bind(i64::from(limit))
                .fetch_all(connection);
                Ok(rows.await?)
            })
            .await?;
        rows.into_iter().map(listed_key).collect()
    }

    /// Makes a key void, for good. `key` is its visible prefix or its whole text; a key that was revoked
    /// before stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`], [`StoreError::AmbiguousKey`] or [`StoreError::Unreachable`]
    pub async fn revoke_key(&self, key: &str) -> Result<KeyId, StoreError> {
        let (id, record) = self
            .write(async |connection| {
                let found = named_key(&mut *connection, key).await?;
                let id = key_id(&found.id)?;
                if found.revoked_at.is_some() {
                    return Ok((id, None));
                }
                let change = next_revision(&mut *connection).await?;
                let revoked_at = now();
                query("UPDATE keys SET revoked_at = $1, change_number = $2 WHERE digest = $3")
                    .bind(revoked_at.as_str())
                    .bind(change)
                    .bind(found.digest)
                    .execute(&mut *connection)
                    .await?;
                let tenant = TenantOfChange {
                    id: &found.tenant_id,
                    name: &found.tenant_name,
                };
                let revoked = |at: Option<&str>| Some(json!({ id.as_str(): { "revoked_at": at } }));
                let (before, after) = (revoked(None), revoked(Some(&revoked_at)));
                let record = self
                    .record_change(connection, AuditOperation::RevokeKey, tenant, before, after)
                    .await?;
                Ok((id, record))
            })
            .await?;
        self.tell_file(record);
        Ok(id)
    }

    /// Makes a key that may do what another may and has its label, and lets the other go on until
    /// `old_expires_at` at the latest. `key` is the other's visible prefix or its whole text. The new key expires
    /// at `expires_at`, or where that is none when the other was to expire.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`], [`StoreError::AmbiguousKey`], [`StoreError::VoidKey`] where it was revoked or
    /// has expired, [`StoreError::PastExpiry`], [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn rotate_key(
        &self,
        key: &str,
        old_expires_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Rotation, StoreError> {
        let (rotation, record) = self
            .write(async |connection| {
                let change = next_revision(&mut *connection).await?;
                let found = named_key(&mut *connection, key).await?;
                let old_terms = found.columns.into_terms()?;
                let has_expired = old_terms
                    .expires_at
                    .is_some_and(|expiry| expiry <= Timestamp::now());
                if found.revoked_at.is_some() || has_expired {
                    return Err(StoreError::VoidKey);
                }
                let old = key_id(&found.id)?;
                let ends = |at: Option<Timestamp>| json!({ "expires_at": at.map(format_timestamp) });
                let before = json!({ old.as_str(): ends(old_terms.expires_at) });
                let old_expires_at = old_terms
                    .expires_at
                    .map_or(old_expires_at, |expiry| expiry.min(old_expires_at));
                let terms = KeyTerms {
                    expires_at: expires_at.or(old_terms.expires_at),
                    ..old_terms
                };
                key_columns::validate(&terms)?;
                let tenant = TenantOfChange {
                    id: &found.tenant_id,
                    name: &found.tenant_name,
                };
                let issued = insert_key(&mut *connection, tenant, terms, change).await?;
                query("UPDATE keys SET expires_at = $1, change_number = $2 WHERE digest = $3")
                    .bind(format_timestamp(old_expires_at))
                    .bind(change)
                    .bind(found.digest)
                    .execute(&mut *connection)
                    .await?;
                let after = json!({
                    old.as_str(): ends(Some(old_expires_at)),
                    issued.listed.id.as_str(): shown_terms(&issued.listed.terms),
                });
                let operation = AuditOperation::RotateKey;
                let record = self
                    .record_change(connection, operation, tenant, Some(before), Some(after))
                    .await?;
                let rotation = Rotation {
                    issued,
                    old,
                    old_expires_at,
                };
                Ok((rotation, record))
            })
            .await?;
        self.tell_file(record);
        Ok(rotation)
    }
}

async fn insert_key(
    connection: &mut AnyConnection,
    tenant: TenantOfChange<'_>,
    terms: KeyTerms,
    change: i64,
) -> Result<IssuedKey, StoreError> {
    let text = KeyText::generate()?;
    let row = KeyColumns::from(&terms);
    let created_at = now();
    query(
        "INSERT INTO keys \
         (digest, id, tenant_id, created_at, label, expires_at, operations, environments, change_number) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(text.digest().as_bytes().as_slice())
    .bind(text.id().as_str())
    .bind(tenant.id)
    .bind(created_at.as_str())
    .bind(row.label)
    .bind(row.expires_at)
    .bind(row.operations)
    .bind(row.environments)
    .bind(change)
    .execute(connection)
    .await?;
    let listed = ListedKey {
        tenant_name: tenant.name.to_owned(),
        id: text.id(),
        // A time as it is stored has fewer digits.
        terms: KeyColumns::from(&terms).into_terms()?,
        created_at,
        revoked_at: None,
        last_used_at: None,
    };
    Ok(IssuedKey { text, listed })
}

/// The one key with this visible prefix or this whole text.
async fn named_key(connection: &mut AnyConnection, key: &str) -> Result<NamedRow, StoreError> {
    let found: Vec<NamedRow> = query_as(
        "SELECT keys.id, digest, tenant_id, name AS tenant_name, revoked_at, \
         label, expires_at, operations, environments \
         FROM keys JOIN tenants ON tenants.id = tenant_id WHERE keys.id = $1 OR digest = $2 LIMIT 2",
    )
    .bind(key)
    .bind(KeyDigest::of(key.as_bytes()).as_bytes().as_slice())
    .fetch_all(connection)
    .await?;
    match <[_; 1]>::try_from(found) {
        Ok([row]) => Ok(row),
        Err(rows) if rows.is_empty() => Err(StoreError::NoSuchKey),
        Err(_) => Err(StoreError::AmbiguousKey),
    }
}

fn key_id(text: &str) -> Result<KeyId, StoreError> {
    KeyId::parse(text)
        .ok_or_else(|| StoreError::Unreadable("the prefix of a key has not 14 characters".to_owned()))
}

fn listed_key(row: ListedRow) -> Result<ListedKey, StoreError> {
    Ok(ListedKey {
        tenant_name: row.tenant_name,
        id: key_id(&row.id)?,
        terms: row.columns.into_terms()?,
        created_at: row.created_at,
        revoked_at: row.revoked_at,
        last_used_at: row
            .last_used_at
            .as_deref()
            .map(key_columns::parse_timestamp)
            .transpose()?,
    })
}

#[cfg(test)]
mod tests;
