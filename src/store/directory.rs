use futures_util::TryStreamExt;

use super::key_columns;
use super::revision::{Glance, Revision, glance};
use super::tenants::{TenantRow, tenant};
use super::transaction::{query_as, query_scalar};
use super::{Store, StoreError};
use crate::environment::EnvironmentId;
use crate::tenancy::{KeyDigest, KeyRecord, Tenant, TenantId};

/// `tenant_id`, `digest`, `expires_at`, `revoked_at`, `operations`, `environments`
type KeyRow = (
    String,
    Vec<u8>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// What has changed among tenants and keys, and of whose environments are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What to ask with next time.
    pub revision: Option<Revision>,
    /// The tenants that changed, as they are now.
    pub tenants: Vec<Tenant>,
    /// The tenants that were deleted.
    pub deleted_tenants: Vec<TenantId>,
    /// The keys that changed, as they are now.
    pub keys: Vec<KeyRecord>,
    /// The environments that may have become another tenant's.
    pub adopted: Vec<EnvironmentId>,
}

impl Store {
    /// The revision that the store is at.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] or [`StoreError::Unusable`]
    pub async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.glance(None).await?.into_revision())
    }

    /// The revision that the store is at, and whether it has gone on from `known`.
    pub(super) async fn glance(&self, known: Option<&Revision>) -> Result<Glance, StoreError> {
        self.read(async |connection| glance(connection, known).await)
            .await
    }

    /// Everything that changed after `known`, in one piece; all that there is where that is none. None where the store
    /// has not gone on from there.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] or [`StoreError::Unreadable`]
    pub async fn changes_since(&self, known: Option<&Revision>) -> Result<Option<Changes>, StoreError> {
        let mut all = Changes::default();
        let newest = self.for_each_change_since(known, |portion| {
            all.tenants.extend(portion.tenants);
            all.keys.extend(portion.keys);
            all.deleted_tenants.extend(portion.deleted_tenants);
            all.adopted.extend(portion.adopted);
        });
        all.revision = newest.await?;
        Ok(all.revision.is_some().then_some(all))
    }

    /// Hands on everything that changed after `known`, tenants first, in portions that stay small however many keys
    /// there are. Gives back what to ask with next time; none, and hands on nothing, where the store has not gone on
    /// from `known`.
    pub(super) async fn for_each_change_since(
        &self,
        known: Option<&Revision>,
        mut take: impl FnMut(Changes) + Send,
    ) -> Result<Option<Revision>, StoreError> {
        let number = known.map_or(0, |known| known.number);
        self.read(async |connection| {
            let glance = glance(&mut *connection, known).await?;
            if known.is_some_and(|known| !glance.continues(known)) {
                return Ok(None);
            }
            let tenants: Vec<TenantRow> = query_as(
                "SELECT id, name, plan, created_at, is_suspended FROM tenants WHERE change_number > $1 ORDER BY id",
            )
            .bind(number)
            .fetch_all(&mut *connection)
            .await?;
            let adopted: Vec<String> =
                query_scalar("SELECT environment_id FROM adoptions WHERE change_number > $1")
                    .bind(number)
                    .fetch_all(&mut *connection)
                    .await?;
            let deleted: Vec<String> = query_scalar("SELECT id FROM deleted_tenants WHERE change_number > $1")
                .bind(number)
                .fetch_all(&mut *connection)
                .await?;
            let mut portion = Changes {
                revision: None,
                tenants: tenants.into_iter().map(tenant).collect(),
                deleted_tenants: deleted.into_iter().map(TenantId).collect(),
                keys: Vec::new(),
                adopted: adopted
                    .iter()
                    .filter_map(|id| EnvironmentId::parse(id).ok())
                    .collect(),
            };
            let mut keys = query_as::<KeyRow>(
                "SELECT tenant_id, digest, expires_at, revoked_at, operations, environments \
                 FROM keys WHERE change_number > $1",
            )
            .bind(number)
            .fetch(&mut *connection);
            while let Some(row) = keys.try_next().await? {
                portion.keys.push(key_record(row)?);
                if portion.keys.len() == PORTION {
                    take(std::mem::take(&mut portion));
                }
            }
            drop(keys);
            take(portion);
            Ok(Some(glance.into_revision()))
        })
        .await
    }
}

/// A portion rebuilds every shard, so it is large; but it must not hold a million keys at once.
const PORTION: usize = 50_000;

fn key_record(
    (tenant, digest, expires_at, revoked_at, operations, environments): KeyRow,
) -> Result<KeyRecord, StoreError> {
    let digest = KeyDigest::from_slice(&digest)
        .ok_or_else(|| StoreError::Unreadable("the digest of a key has not 32 bytes".to_owned()))?;
    Ok(KeyRecord {
        tenant: TenantId(tenant),
        digest,
        expires_at: expires_at
            .as_deref()
            .map(key_columns::parse_timestamp)
            .transpose()?,
        is_revoked: revoked_at.is_some(),
        restrictions: key_columns::restrictions(operations.as_deref(), environments.as_deref())?,
    })
}
