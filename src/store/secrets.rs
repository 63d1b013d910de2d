use super::transaction::{query, query_scalar};
use super::{Store, StoreError};
use crate::text::random_bytes;

impl Store {
    /// The secret of this name, 256 bits. It is made on first use; of several that ask at once, all get the same.
    ///
    /// # Errors
    /// [`StoreError::NoRandomNumbers`], [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn secret(&self, name: &str) -> Result<[u8; 32], StoreError> {
        if let Some(secret) = self.stored_secret(name).await? {
            return Ok(secret);
        }
        let new: [u8; 32] = random_bytes()?;
        self.write(async |connection| {
            query("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(name)
                .bind(new.to_vec())
                .execute(connection)
                .await?;
            Ok(())
        })
        .await?;
        // Somebody else may have been first; theirs stands.
        self.stored_secret(name)
            .await?
            .ok_or_else(|| StoreError::Unreadable("a secret was written and is not there".to_owned()))
    }

    async fn stored_secret(&self, name: &str) -> Result<Option<[u8; 32]>, StoreError> {
        let stored: Option<Vec<u8>> = self
            .read(async |connection| {
                let value = query_scalar("SELECT value FROM secrets WHERE name = $1")
                    .bind(name)
                    .fetch_optional(connection);
                Ok(value.await?)
            })
            .await?;
        let unreadable = |_| StoreError::Unreadable("a secret is not 32 bytes long".to_owned());
        stored
            .map(|bytes| bytes.try_into().map_err(unreadable))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use rstest::rstest;

    use crate::store::tests::{Database, temporary};

    #[rstest]
    #[tokio::test]
    async fn all_who_ask_at_once_get_one_secret(
        #[values(Database::Sqlite, Database::Postgres)] database: Database,
    ) {
        let store = temporary(database).await;
        let asked = join_all((0..16).map(|_| store.secret("page_cursor"))).await;
        let secrets: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        assert_ne!(secrets[0], [0; 32]);
        assert_eq!(store.secret("page_cursor").await.unwrap(), secrets[0], "it stays");
        assert_ne!(store.secret("another").await.unwrap(), secrets[0]);
    }
}
