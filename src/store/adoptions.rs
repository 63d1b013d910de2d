use jiff::{SignedDuration, Timestamp};

use super::revision::next_revision;
use super::transaction::query;
use super::{Store, StoreError};
use crate::environment::EnvironmentId;
use crate::text::format_timestamp;

/// How long an adoption is told of; far longer than any gateway remembers whose an environment is.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(1);

impl Store {
    /// Notes that an environment may have become another tenant's, for all gateways to forget whose it was.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn record_adoption(&self, id: &EnvironmentId) -> Result<(), StoreError> {
        let now = Timestamp::now();
        self.write(async |connection| {
            let change = next_revision(&mut *connection).await?;
            query("DELETE FROM adoptions WHERE adopted_at < $1")
                .bind(format_timestamp(
                    now.checked_sub(TOLD_FOR).unwrap_or(Timestamp::MIN),
                ))
                .execute(&mut *connection)
                .await?;
            query(
                "INSERT INTO adoptions (environment_id, adopted_at, change_number) VALUES ($1, $2, $3) \
             ON CONFLICT (environment_id) DO UPDATE SET adopted_at = $2, change_number = $3",
            )
            .bind(id.as_str())
            .bind(format_timestamp(now))
            .bind(change)
            .execute(connection)
            .await?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::store::tests::{Database, temporary};

    #[rstest]
    #[tokio::test]
    async fn an_adoption_is_a_change_that_is_told_until_it_is_old(
        #[values(Database::Sqlite, Database::Postgres)] database: Database,
    ) {
        let store = temporary(database).await;
        let [one, two] = ["env_1", "env_2"].map(|id| EnvironmentId::parse(id).unwrap());
        store.record_adoption(&one).await.unwrap();
        let first = store.changes_since(None).await.unwrap().unwrap();
        assert_eq!(first.adopted, std::slice::from_ref(&one));
        assert_eq!(
            store
                .changes_since(first.revision.as_ref())
                .await
                .unwrap()
                .unwrap()
                .adopted,
            []
        );

        store.record_adoption(&one).await.unwrap();
        assert_eq!(
            store
                .changes_since(first.revision.as_ref())
                .await
                .unwrap()
                .unwrap()
                .adopted,
            [one]
        );

        sqlx::query("UPDATE adoptions SET adopted_at = '2026-01-01T00:00:00.000000Z'")
            .execute(&store.pool)
            .await
            .unwrap();
        store.record_adoption(&two).await.unwrap();
        assert_eq!(store.changes_since(None).await.unwrap().unwrap().adopted, [two]);
    }
}
