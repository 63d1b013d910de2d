use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::error::within;
use super::inspect::size_of_postgres;
use super::key_columns::parse_timestamp;
use super::transaction::query_scalar;
use super::{Backend, Store, StoreError};
use crate::telemetry::Metrics;

/// How often it is looked how large the store is, however often somebody asks for metrics.
const PERIOD: Duration = Duration::from_secs(60);
/// How long the store may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Store {
    /// Tells metrics how large the store is and how far back its audit goes, now and every minute, without end.
    pub async fn measure(&self, metrics: &Metrics) {
        let mut looks = interval(PERIOD);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            match within(ANSWER_TIMEOUT, self.size_and_oldest_record()).await {
                Ok((bytes, oldest)) => {
                    metrics.store.size_bytes.set(bytes);
                    metrics.store.oldest_record.set(oldest);
                }
                // Whoever follows the store says so; what was seen last stays.
                Err(error) => tracing::debug!(%error, "nobody knows how large the store is"),
            }
        }
    }

    /// Bytes, and seconds of Unix time or 0.
    async fn size_and_oldest_record(&self) -> Result<(i64, i64), StoreError> {
        let backend = self.backend;
        let (bytes, oldest) = self
            .read(async |connection| {
                let bytes = match backend {
                    Backend::Sqlite => {
                        query_scalar("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
                            .fetch_one(&mut *connection)
                            .await?
                    }
                    Backend::Postgres => size_of_postgres(connection).await?,
                };
                let oldest: Option<String> = query_scalar("SELECT at FROM audit ORDER BY at LIMIT 1")
                    .fetch_optional(connection)
                    .await?;
                Ok((bytes, oldest))
            })
            .await?;
        let oldest = oldest.map(|at| parse_timestamp(&at)).transpose()?;
        Ok((bytes, oldest.map_or(0, |at| at.as_second())))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::store::tests::{Database, temporary};

    #[rstest]
    #[tokio::test]
    async fn a_store_has_a_size_and_an_oldest_record(
        #[values(Database::Sqlite, Database::Postgres)] database: Database,
    ) {
        let store = temporary(database).await;
        let (bytes, oldest) = store.size_and_oldest_record().await.unwrap();
        assert!(bytes > 8192, "{bytes}");
        assert_eq!(oldest, 0, "there is none");
        for (id, at) in [
            ("aud_1", "2026-01-02T00:00:00.000000Z"),
            ("aud_2", "2026-01-01T00:00:00.000000Z"),
        ] {
            let insert = "INSERT INTO audit (id, at, tenant_id, tenant_name, key_id, operation, outcome, request_id, repeats) \
                          VALUES ($1, $2, 'ten_1', 'acme', 'sk-eg-abcdefgh', 'update', 'ok', 'req_1', 1)";
            sqlx::query(insert)
                .bind(id)
                .bind(at)
                .execute(&store.pool)
                .await
                .unwrap();
        }
        let (_, oldest) = store.size_and_oldest_record().await.unwrap();
        assert_eq!(oldest, 1_767_225_600);
    }
}
