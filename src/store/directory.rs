use futures_util::TryStreamExt;

use super::key_columns;
use super::tenants::{TenantRow, tenant};
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
    /// The number to ask with next time.
    pub revision: i64,
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
    /// The number of the last change of a tenant or a key; 0 where there was none.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn revision(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(REVISION).fetch_one(&self.pool).await?)
    }

    /// Everything that changed after change `number`, in one piece; 0 gives all that there is.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] or [`StoreError::Unreadable`]
    pub async fn changes_since(&self, number: i64) -> Result<Changes, StoreError> {
        let mut all = Changes::default();
        let newest = self.for_each_change_since(number, |portion| {
            all.tenants.extend(portion.tenants);
            all.keys.extend(portion.keys);
            all.deleted_tenants.extend(portion.deleted_tenants);
            all.adopted.extend(portion.adopted);
        });
        all.revision = newest.await?;
        Ok(all)
    }

    /// Hands on everything that changed after change `number`, tenants first, in portions that stay small
    /// however many keys there are. Gives back the number to ask with next time.
    ///
    /// A change that happens meanwhile may be told now and once more next time, none is ever missed.
    pub(super) async fn for_each_change_since(
        &self,
        number: i64,
        mut take: impl FnMut(Changes) + Send,
    ) -> Result<i64, StoreError> {
        let mut transaction = self.pool.begin().await?;
        // The number is read first: rows that are newer than it come again, rows up to it are all visible.
        let newest = sqlx::query_scalar(REVISION).fetch_one(&mut *transaction).await?;
        let tenants: Vec<TenantRow> = sqlx::query_as(
            "SELECT id, name, plan, created_at, is_suspended FROM tenants WHERE change_number > $1 ORDER BY id",
        )
        .bind(number)
        .fetch_all(&mut *transaction)
        .await?;
        let adopted: Vec<String> =
            sqlx::query_scalar("SELECT environment_id FROM adoptions WHERE change_number > $1")
                .bind(number)
                .fetch_all(&mut *transaction)
                .await?;
        let mut portion = Changes {
            revision: newest,
            tenants: tenants.into_iter().map(tenant).collect(),
            adopted: adopted
                .iter()
                .filter_map(|id| EnvironmentId::parse(id).ok())
                .collect(),
            ..Changes::default()
        };
        let mut keys = sqlx::query_as::<_, KeyRow>(
            "SELECT tenant_id, digest, expires_at, revoked_at, operations, environments \
             FROM keys WHERE change_number > $1",
        )
        .bind(number)
        .fetch(&mut *transaction);
        while let Some(row) = keys.try_next().await? {
            portion.keys.push(key_record(row)?);
            if portion.keys.len() == PORTION {
                take(std::mem::take(&mut portion));
            }
        }
        drop(keys);
        // Last, so that no key of a tenant that was deleted meanwhile is told without its end.
        let deleted: Vec<String> =
            sqlx::query_scalar("SELECT id FROM deleted_tenants WHERE change_number > $1")
                .bind(number)
                .fetch_all(&mut *transaction)
                .await?;
        transaction.commit().await?;
        portion.deleted_tenants = deleted.into_iter().map(TenantId).collect();
        take(portion);
        Ok(newest)
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

const REVISION: &str = "SELECT number FROM directory_change WHERE id = 1";
