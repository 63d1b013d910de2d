use sqlx::{AnyConnection, FromRow};

use super::transaction::{query, query_as, query_scalar};
use super::{StoreError, postgres};
use crate::text::random_base58;

/// What PostgreSQL is asked to tell, on this channel, to all who listen: that there is a change.
pub(super) const CHANNEL: &str = "envgate_change";

const RAISE: &str = "UPDATE directory_change SET number = number + 1 WHERE id = 1 RETURNING number";
/// It is told when the transaction commits, and not at all where it does not.
const RAISE_AND_TELL: &str = "UPDATE directory_change SET number = number + 1 WHERE id = 1 \
                              RETURNING number, pg_notify($1, '')";

/// How many tokens are kept. Whoever is further behind reads everything anew.
const TOKENS: i64 = 10_000;

/// The state of tenants and keys after a change: the number of the change, and the token that it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Every change raises it by one.
    pub number: i64,
    /// At random, so that two histories of one store never agree on it. None where an envgate from before there were
    /// tokens made the change.
    pub token: Option<String>,
}

/// What a look at the store shows.
#[derive(Debug, FromRow)]
pub(super) struct Glance {
    number: i64,
    token: Option<String>,
    token_of_known: Option<String>,
    is_read_only: i64,
}

impl Glance {
    /// Whether the store has gone on from `known`, and was not put back or replaced.
    pub(super) fn continues(&self, known: &Revision) -> bool {
        self.number >= known.number && self.token_of_known == known.token
    }

    /// Whether nothing has changed since `known`.
    pub(super) fn is_at(&self, known: &Revision) -> bool {
        self.number == known.number && self.token == known.token
    }

    /// Whether the connection takes no writes.
    pub(super) const fn is_read_only(&self) -> bool {
        self.is_read_only != 0
    }

    pub(super) fn into_revision(self) -> Revision {
        Revision {
            number: self.number,
            token: self.token,
        }
    }
}

const GLANCE_SQLITE: &str = "SELECT number, 0 AS is_read_only, \
     (SELECT token FROM revision_tokens WHERE revision_tokens.number = directory_change.number) AS token, \
     (SELECT token FROM revision_tokens WHERE revision_tokens.number = $1) AS token_of_known \
     FROM directory_change WHERE id = 1";
const GLANCE_POSTGRES: &str = "SELECT number, \
     (CASE WHEN pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' \
      THEN 1 ELSE 0 END)::BIGINT AS is_read_only, \
     (SELECT token FROM revision_tokens WHERE revision_tokens.number = directory_change.number) AS token, \
     (SELECT token FROM revision_tokens WHERE revision_tokens.number = $1) AS token_of_known \
     FROM directory_change WHERE id = 1";

/// The revision that the store is at, and whether it comes after `known`.
pub(super) async fn glance(
    connection: &mut AnyConnection,
    known: Option<&Revision>,
) -> Result<Glance, StoreError> {
    let statement = if postgres::is_connected_by(connection) {
        GLANCE_POSTGRES
    } else {
        GLANCE_SQLITE
    };
    let glance = query_as(statement)
        .bind(known.map_or(-1, |known| known.number))
        .fetch_one(connection);
    Ok(glance.await?)
}

/// Takes the number of a change that the transaction makes. It comes first in every such transaction: from
/// here on the transaction is alone in writing, so numbers become visible in their order.
pub(super) async fn next_revision(transaction: &mut AnyConnection) -> Result<i64, StoreError> {
    let raise = if postgres::is_connected_by(transaction) {
        query_scalar(RAISE_AND_TELL).bind(CHANNEL)
    } else {
        query_scalar(RAISE)
    };
    let number: i64 = raise.fetch_one(&mut *transaction).await?;
    query("INSERT INTO revision_tokens (number, token) VALUES ($1, $2)")
        .bind(number)
        .bind(random_base58()?)
        .execute(&mut *transaction)
        .await?;
    query("DELETE FROM revision_tokens WHERE number <= $1")
        .bind(number - TOKENS)
        .execute(transaction)
        .await?;
    Ok(number)
}
