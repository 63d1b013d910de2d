use sqlx::AnyConnection;

use super::{StoreError, postgres};

/// What PostgreSQL is asked to tell, on this channel, to all who listen: that there is a change.
pub(super) const CHANNEL: &str = "envgate_change";

const RAISE: &str = "UPDATE directory_change SET number = number + 1 WHERE id = 1 RETURNING number";
/// It is told when the transaction commits, and not at all where it does not.
const RAISE_AND_TELL: &str = "UPDATE directory_change SET number = number + 1 WHERE id = 1 \
                              RETURNING number, pg_notify($1, '')";

/// Takes the number of a change that the transaction makes. It comes first in every such transaction: from
/// here on the transaction is alone in writing, so numbers become visible in their order.
pub(super) async fn next_revision(transaction: &mut AnyConnection) -> Result<i64, StoreError> {
    let raise = if postgres::is_connected_by(transaction) {
        sqlx::query_scalar(RAISE_AND_TELL).bind(CHANNEL)
    } else {
        sqlx::query_scalar(RAISE)
    };
    Ok(raise.fetch_one(transaction).await?)
}
