use std::borrow::Borrow;

use jiff::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::{AuditRecord, AuditTenant};
use crate::store::key_columns::parse_timestamp;
use crate::store::transaction::{query, query_as};
use crate::store::{Store, StoreError};
use crate::text::format_timestamp;

/// Which records of the audit are asked for; each field that is there narrows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// The id of a tenant, or its name at the time.
    pub tenant: Option<String>,
    /// The id of an environment.
    pub environment: Option<String>,
    /// The name of an operation.
    pub operation: Option<String>,
    /// The name of an [`AuditOutcome`](super::AuditOutcome), or a kind of error.
    pub outcome: Option<String>,
    /// The earliest time.
    pub from: Option<Timestamp>,
    /// The time that the latest record comes before.
    pub until: Option<Timestamp>,
    /// The id of the record that all were written before; none begins with the newest. Where it was deleted
    /// meanwhile, so were those before it.
    pub before: Option<String>,
    /// How many at most.
    pub limit: u16,
}

const COLUMNS: [&str; 15] = [
    "id",
    "at",
    "tenant_id",
    "tenant_name",
    "key_id",
    "operation",
    "environment",
    "outcome",
    "status",
    "error",
    "request_id",
    "repeats",
    "change_json",
    "actor",
    "client_address",
];
/// How many records are written in one statement: each of those is a way to the database and back, but
/// SQLite's driver looks for each placeholder among all before it, so that long statements cost by the
/// square.
const WRITTEN_AT_ONCE: usize = 8;
/// How many records are forgotten in one statement, so that no other write waits long.
const FORGOTTEN_AT_ONCE: u16 = 500;

#[derive(FromRow)]
struct Row {
    id: String,
    at: String,
    tenant_id: String,
    tenant_name: String,
    key_id: String,
    operation: String,
    environment: Option<String>,
    outcome: String,
    status: Option<i64>,
    error: Option<String>,
    request_id: String,
    repeats: i64,
    change_json: Option<String>,
    actor: Option<String>,
    client_address: Option<String>,
}

impl Store {
    /// Writes records, all or none. One that is there already stays as it is, so that a batch can be tried
    /// again when nobody knows how far it came.
    ///
    /// # Errors
    /// [`StoreError::Rejected`], [`StoreError::Unreachable`] or [`StoreError::Unusable`]
    pub async fn write_audit<R: Borrow<AuditRecord>>(&self, records: &[R]) -> Result<(), StoreError> {
        self.write(async |connection| {
            for records in records.chunks(WRITTEN_AT_ONCE) {
                insert(connection, records).await?;
            }
            Ok(())
        })
        .await
    }

    /// As [`Store::write_audit`]; the inner error says why the store refuses a record among these, and always
    /// will.
    pub(super) async fn insert_audit<R: Borrow<AuditRecord>>(
        &self,
        records: &[R],
    ) -> Result<Result<(), String>, StoreError> {
        match self.write_audit(records).await {
            Err(StoreError::Rejected(reason)) => Ok(Err(reason)),
            outcome => Ok(Ok(outcome?)),
        }
    }

    /// Records of the audit, those first that were written last.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn audit(&self, asked: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        let (conditions, values) = conditions(asked);
        let limit = values.len() + 1;
        // Nothing that was asked for stands in the text itself. Columns by name: one that another version adds
        // meanwhile would be one too many for a statement that is known to a connection already.
        let columns = COLUMNS.join(", ");
        let statement =
            format!("SELECT {columns} FROM audit{conditions} ORDER BY sequence DESC LIMIT ${limit}");
        let mut select = query_as::<Row>(AssertSqlSafe(statement));
        for value in values {
            select = select.bind(value);
        }
        let select = select.bind(i64::from(asked.limit));
        let rows = self
            .read(async |connection| Ok(select.fetch_all(connection).await?))
            .await?;
        rows.into_iter().map(AuditRecord::try_from).collect()
    }

    /// Deletes all records from before a time, a few at once, and gives back how many there were.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]; some may be deleted by then.
    pub async fn forget_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let deleted = self
                .write(async |connection| {
                    let deleted = query(
                "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)",
            )
            .bind(format_timestamp(before))
            .bind(i64::from(FORGOTTEN_AT_ONCE))
            .execute(connection)
            .await?;
                    Ok(deleted.rows_affected())
                })
                .await?;
            forgotten += deleted;
            if deleted < u64::from(FORGOTTEN_AT_ONCE) {
                return Ok(forgotten);
            }
        }
    }
}

async fn insert<R: Borrow<AuditRecord>>(
    connection: &mut AnyConnection,
    records: &[R],
) -> Result<(), StoreError> {
    let mut insert = query(AssertSqlSafe(insertion(records.len())));
    for record in records {
        let record = record.borrow();
        insert = insert
            .bind(record.id.as_str())
            .bind(format_timestamp(record.at))
            .bind(record.tenant.id.as_str())
            .bind(record.tenant.name.as_str())
            .bind(record.key.as_str())
            .bind(record.operation.as_str())
            .bind(record.environment.as_deref())
            .bind(record.outcome.as_str())
            .bind(record.status.map(i64::from))
            .bind(record.error.as_deref())
            .bind(record.request_id.as_str())
            .bind(i64::try_from(record.repeats).unwrap_or(i64::MAX))
            .bind(record.change.as_ref().map(ToString::to_string))
            .bind(record.actor.as_deref())
            .bind(record.client_address.as_deref());
    }
    match insert.execute(connection).await {
        Err(error) if is_refused_for_good(&error) => Err(StoreError::Rejected(error.to_string())),
        outcome => outcome.map(drop).map_err(StoreError::from),
    }
}

/// Whether the database says that the fault is in what it was given: a value or a row that it cannot hold, or
/// a rule that the row breaks. All else is a fault of the database or of the way to it, and may pass.
fn is_refused_for_good(error: &sqlx::Error) -> bool {
    let code = match error {
        sqlx::Error::Encode(_) => return true,
        sqlx::Error::Database(error) => error.code(),
        _ => return false,
    };
    let Some(code) = code else { return false };
    match code.parse::<u32>() {
        // SQLite's primary codes, in the lowest byte: TOOBIG, CONSTRAINT, MISMATCH.
        Ok(sqlite) if code.len() < 5 => matches!(sqlite & 0xff, 18..=20),
        // Classes of SQLSTATE: data exception, integrity constraint violation, program limit exceeded, an
        // exception that a trigger raised.
        _ => ["22", "23", "54", "P0"]
            .iter()
            .any(|class| code.starts_with(class)),
    }
}

/// The statement that writes so many rows, with a placeholder for each column of each.
fn insertion(rows: usize) -> String {
    let row = |row: usize| {
        let first = row * COLUMNS.len() + 1;
        let places: Vec<_> = (first..first + COLUMNS.len())
            .map(|place| format!("${place}"))
            .collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO audit ({}) VALUES {} ON CONFLICT (id) DO NOTHING",
        COLUMNS.join(", "),
        rows.join(", ")
    )
}

/// The condition of a query and the values that it names, in order.
fn conditions(query: &AuditQuery) -> (String, Vec<String>) {
    let asked = [
        ("(tenant_id = $ OR tenant_name = $)", query.tenant.clone()),
        ("environment = $", query.environment.clone()),
        ("operation = $", query.operation.clone()),
        ("(outcome = $ OR error = $)", query.outcome.clone()),
        ("at >= $", query.from.map(format_timestamp)),
        ("at < $", query.until.map(format_timestamp)),
        (
            "sequence < (SELECT sequence FROM audit WHERE id = $)",
            query.before.clone(),
        ),
    ];
    let mut conditions = String::new();
    let mut values = Vec::new();
    for (condition, value) in asked {
        let Some(value) = value else { continue };
        values.push(value);
        conditions.push_str(if values.len() == 1 { " WHERE " } else { " AND " });
        conditions.push_str(&condition.replace('$', &format!("${}", values.len())));
    }
    (conditions, values)
}

impl TryFrom<Row> for AuditRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let change = row.change_json.as_deref().map(serde_json::from_str).transpose();
        Ok(Self {
            id: row.id,
            at: parse_timestamp(&row.at)?,
            tenant: AuditTenant {
                id: row.tenant_id,
                name: row.tenant_name,
            },
            key: row.key_id,
            actor: row.actor,
            client_address: row.client_address,
            operation: row.operation,
            environment: row.environment,
            outcome: row.outcome,
            status: row.status.and_then(|status| status.try_into().ok()),
            error: row.error,
            request_id: row.request_id,
            repeats: row.repeats.try_into().unwrap_or_default(),
            change: change.map_err(|error| StoreError::Unreadable(error.to_string()))?,
        })
    }
}

#[cfg(test)]
mod tests;
