use sqlx::AnyConnection;

use super::StoreError;

/// Takes the number of a change that the transaction makes. It comes first in every such transaction: from
/// here on the transaction is alone in writing, so numbers become visible in their order.
pub(super) async fn next_change(transaction: &mut AnyConnection) -> Result<i64, StoreError> {
    Ok(
        sqlx::query_scalar("UPDATE directory_change SET number = number + 1 WHERE id = 1 RETURNING number")
            .fetch_one(transaction)
            .await?,
    )
}
