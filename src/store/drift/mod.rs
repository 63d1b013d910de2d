//! In what the upstream's replies differ from the contract, as all gateways on the store have seen it.

mod keep;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::audit::TenantOfChange;
use super::key_columns::parse_timestamp;
use super::transaction::{query, query_as, query_scalar};
use super::{AuditOperation, Store, StoreError};
use crate::contract::{Finding, FindingKind, Operation, ReplyDocument};
use crate::telemetry::PendingFinding;
use crate::text::format_timestamp;

/// How many findings of an operation are kept apart; what comes then is counted as one.
const MAX_OF_OPERATION: i64 = 256;

/// What an operator has said of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingState {
    /// Nothing yet.
    New,
    /// That it is known.
    Known,
}

impl FindingState {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::New, Self::Known];

    /// The name in reports, metrics and the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A finding as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFinding {
    /// Its name.
    pub id: String,
    /// What it is.
    pub finding: Finding,
    /// When any gateway has first seen it.
    pub first_seen: Timestamp,
    /// When any gateway has last seen it.
    pub last_seen: Timestamp,
    /// How often it was seen, in a list once for each environment.
    pub seen: u64,
    /// What an operator has said of it.
    pub state: FindingState,
}

impl StoredFinding {
    /// As reports show it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let finding = &self.finding;
        json!({
            "id": self.id,
            "operation": finding.operation.name(),
            "reply": finding.document.name(),
            "kind": finding.kind.name(),
            "pointer": finding.pointer,
            "detail": finding.detail,
            "example": finding.example,
            "first_seen": format_timestamp(self.first_seen),
            "last_seen": format_timestamp(self.last_seen),
            "count": self.seen,
            "state": self.state.name(),
        })
    }
}

/// Which findings are asked for; each field that is there narrows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriftQuery {
    /// Of one operation.
    pub operation: Option<Operation>,
    /// Of one state.
    pub state: Option<FindingState>,
    /// The id that all come after.
    pub after: Option<String>,
    /// How many at most; none for all.
    pub limit: Option<u16>,
}

#[derive(FromRow)]
struct Row {
    id: String,
    operation: String,
    document: String,
    kind: String,
    pointer: String,
    detail: Option<String>,
    example: Option<String>,
    first_seen: String,
    last_seen: String,
    seen: i64,
    state: String,
}

const COLUMNS: &str =
    "id, operation, document, kind, pointer, detail, example, first_seen, last_seen, seen, state";

impl Store {
    /// Findings, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn drift(&self, asked: &DriftQuery) -> Result<Vec<StoredFinding>, StoreError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM drift_findings WHERE id > $1 AND ($2 = '' OR operation = $2) \
             AND ($3 = '' OR state = $3) ORDER BY id LIMIT $4"
        );
        let rows: Vec<Row> = self
            .read(async |connection| {
                let rows = query_as(AssertSqlSafe(statement))
                    .bind(asked.after.clone().unwrap_or_default())
                    .bind(asked.operation.map_or("", Operation::name))
                    .bind(asked.state.map_or("", FindingState::name))
                    .bind(i64::from(asked.limit.unwrap_or(u16::MAX)))
                    .fetch_all(connection)
                    .await?;
                Ok(rows)
            })
            .await?;
        rows.into_iter().map(StoredFinding::try_from).collect()
    }

    /// Adds what a gateway has seen, all or nothing, and gives back the ids of those that no gateway had seen before.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] or [`StoreError::Unusable`]
    pub async fn add_drift(&self, pending: &[PendingFinding]) -> Result<Vec<String>, StoreError> {
        // Two gateways that write at once take the rows in one order, those last that are everybody's.
        let mut ordered: Vec<_> = pending.iter().collect();
        let is_remainder = |pending: &PendingFinding| pending.finding.kind == FindingKind::Remainder;
        ordered.sort_by(|one, other| {
            let rank = |pending: &PendingFinding| (is_remainder(pending), pending.id.clone());
            rank(one).cmp(&rank(other))
        });
        self.write(async |connection| {
            let mut new = Vec::new();
            let mut remainders: Vec<PendingFinding> = Vec::new();
            for pending in ordered {
                if is_remainder(pending) {
                    add_to(&mut remainders, pending.clone());
                    continue;
                }
                match add(&mut *connection, pending).await? {
                    Added::Counted => {}
                    Added::New => new.push(pending.id.clone()),
                    Added::NoRoom => add_to(&mut remainders, remainder_of(pending)),
                }
            }
            remainders.sort_by(|one, other| one.id.cmp(&other.id));
            for remainder in &remainders {
                if let Added::New = add(&mut *connection, remainder).await? {
                    new.push(remainder.id.clone());
                }
            }
            Ok(new)
        })
        .await
    }

    /// Marks new findings as known: those of these ids, or all. Gives back how many there were.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] or [`StoreError::Unusable`]
    pub async fn acknowledge_drift(&self, ids: Option<&[String]>) -> Result<u64, StoreError> {
        let (acknowledged, record) = self
            .write(async |connection| {
                let mark = "UPDATE drift_findings SET state = 'known' WHERE state = 'new'";
                let mut acknowledged = Vec::new();
                match ids {
                    Some(ids) => {
                        for id in ids {
                            let marked = query(AssertSqlSafe(format!("{mark} AND id = $1")))
                                .bind(id.clone())
                                .execute(&mut *connection)
                                .await?;
                            if marked.rows_affected() > 0 {
                                acknowledged.push(id.clone());
                            }
                        }
                    }
                    None => {
                        acknowledged =
                            query_scalar("SELECT id FROM drift_findings WHERE state = 'new' ORDER BY id")
                                .fetch_all(&mut *connection)
                                .await?;
                        query(mark).execute(&mut *connection).await?;
                    }
                }
                let count = u64::try_from(acknowledged.len()).unwrap_or(u64::MAX);
                if acknowledged.is_empty() {
                    return Ok((count, None));
                }
                let change = json!({ "acknowledged": acknowledged });
                let nobody = TenantOfChange { id: "", name: "" };
                let operation = AuditOperation::AcknowledgeDrift;
                let record = self.record_change(connection, operation, nobody, None, Some(change));
                Ok((count, record.await?))
            })
            .await?;
        self.tell_file(record);
        Ok(acknowledged)
    }

    /// How many findings there are of each kind and state.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn count_drift(&self) -> Result<Vec<(String, String, i64)>, StoreError> {
        self.read(async |connection| {
            let counts = query_as("SELECT kind, state, COUNT(*) FROM drift_findings GROUP BY kind, state")
                .fetch_all(connection)
                .await?;
            Ok(counts)
        })
        .await
    }

    /// Deletes findings that were not seen for `retention` before the last time that any was: a clock that jumps ahead
    /// forgets nothing by itself.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn forget_drift(&self, retention: std::time::Duration) -> Result<u64, StoreError> {
        self.write(async |connection| {
            let last: Option<String> =
                query_scalar("SELECT last_seen FROM drift_findings ORDER BY last_seen DESC LIMIT 1")
                    .fetch_optional(&mut *connection)
                    .await?;
            let Some(last) = last else { return Ok(0) };
            let last = parse_timestamp(&last)?.min(Timestamp::now());
            let before = last.checked_sub(retention).unwrap_or(Timestamp::MIN);
            let deleted = query("DELETE FROM drift_findings WHERE last_seen < $1")
                .bind(format_timestamp(before))
                .execute(connection)
                .await?;
            Ok(deleted.rows_affected())
        })
        .await
    }
}

/// What became of a finding that was to be added.
enum Added {
    Counted,
    New,
    NoRoom,
}

async fn add(connection: &mut AnyConnection, pending: &PendingFinding) -> Result<Added, StoreError> {
    if count(&mut *connection, pending).await? {
        return Ok(Added::Counted);
    }
    let finding = &pending.finding;
    let inserted = query(
        "INSERT INTO drift_findings \
         (id, operation, document, kind, pointer, detail, example, first_seen, last_seen, seen, state) \
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), \
         CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT), CAST($9 AS TEXT), CAST($10 AS BIGINT), 'new' \
         WHERE $4 = 'remainder' OR (SELECT COUNT(*) FROM drift_findings WHERE operation = $2) < $11 \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(pending.id.clone())
    .bind(finding.operation.name())
    .bind(finding.document.name())
    .bind(finding.kind.name())
    .bind(finding.pointer.clone())
    .bind(finding.detail.clone())
    .bind(finding.example.clone())
    .bind(format_timestamp(pending.first_seen))
    .bind(format_timestamp(pending.last_seen))
    .bind(bounded(pending.count, pending))
    .bind(MAX_OF_OPERATION)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() > 0 {
        return Ok(Added::New);
    }
    // Another gateway was quicker, or there is no room.
    Ok(match count(connection, pending).await? {
        true => Added::Counted,
        false => Added::NoRoom,
    })
}

/// Counts a finding that is there. False where it is not.
async fn count(connection: &mut AnyConnection, pending: &PendingFinding) -> Result<bool, StoreError> {
    let counted = query(
        "UPDATE drift_findings SET \
         seen = CASE WHEN seen + $2 > $3 THEN $3 ELSE seen + $2 END, \
         first_seen = CASE WHEN first_seen > $4 THEN $4 ELSE first_seen END, \
         last_seen = CASE WHEN last_seen < $5 THEN $5 ELSE last_seen END \
         WHERE id = $1",
    )
    .bind(pending.id.clone())
    .bind(bounded(pending.count, pending))
    .bind(bounded(u64::MAX, pending))
    .bind(format_timestamp(pending.first_seen))
    .bind(format_timestamp(pending.last_seen))
    .execute(connection)
    .await?;
    Ok(counted.rows_affected() > 0)
}

fn bounded(count: u64, pending: &PendingFinding) -> i64 {
    i64::try_from(count.min(pending.max_count())).unwrap_or(i64::MAX)
}

/// What a finding is counted as that has no room of its own.
fn remainder_of(pending: &PendingFinding) -> PendingFinding {
    let finding = Finding::remainder(pending.finding.operation, pending.finding.document);
    PendingFinding {
        id: finding.id(),
        finding,
        ..pending.clone()
    }
}

fn add_to(remainders: &mut Vec<PendingFinding>, more: PendingFinding) {
    match remainders.iter_mut().find(|remainder| remainder.id == more.id) {
        Some(remainder) => {
            remainder.count = remainder.count.saturating_add(more.count);
            remainder.first_seen = remainder.first_seen.min(more.first_seen);
            remainder.last_seen = remainder.last_seen.max(more.last_seen);
        }
        None => remainders.push(more),
    }
}

impl TryFrom<Row> for StoredFinding {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let unreadable = |name: &str| StoreError::Unreadable(format!("there is no {name:?} of drift"));
        Ok(Self {
            finding: Finding {
                operation: Operation::by_name(&row.operation).ok_or_else(|| unreadable(&row.operation))?,
                document: ReplyDocument::by_name(&row.document).ok_or_else(|| unreadable(&row.document))?,
                kind: FindingKind::by_name(&row.kind).ok_or_else(|| unreadable(&row.kind))?,
                pointer: row.pointer,
                detail: row.detail,
                example: row.example,
            },
            first_seen: parse_timestamp(&row.first_seen)?,
            last_seen: parse_timestamp(&row.last_seen)?,
            seen: row.seen.try_into().unwrap_or_default(),
            state: FindingState::by_name(&row.state).ok_or_else(|| unreadable(&row.state))?,
            id: row.id,
        })
    }
}

#[cfg(test)]
mod tests;
