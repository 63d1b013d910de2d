use std::borrow::{Borrow, Cow};

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, FromRow};

use super::{AuditRecord, AuditTenant};
use crate::environment::Difference;
use crate::store::key_columns::parse_timestamp;
use crate::store::transaction::{query, query_as};
use crate::store::{Backend, Store, StoreError};
use crate::text::format_timestamp;

/// Which records of the audit are asked for; each field that is there narrows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// The id of a tenant, or its name at the time.
    pub tenant: Option<String>,
    /// The id of an environment.
    pub environment: Option<String>,
    /// Who acted.
    pub actor: Option<String>,
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
/// Those that are numbers.
const NUMBERS: [&str; 2] = ["status", "repeats"];
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
        self.write(async |connection| insert(connection, self.backend, records).await)
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
        // Nothing that was asked for stands in the text itself. Columns by name: one that another version
        // adds meanwhile would be one too many for a statement that is known to a connection already.
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

/// Writes records in a transaction that there is.
pub(super) async fn insert<R: Borrow<AuditRecord>>(
    connection: &mut AnyConnection,
    backend: Backend,
    records: &[R],
) -> Result<(), StoreError> {
    let inserted = match backend {
        Backend::Sqlite => insert_by_values(connection, records).await,
        Backend::Postgres => insert_as_json(connection, records).await,
    };
    match inserted {
        Err(error) if is_refused_for_good(&error) => Err(StoreError::Rejected(error.to_string())),
        outcome => outcome.map_err(StoreError::from),
    }
}

/// A value of a row.
#[derive(Serialize)]
#[serde(untagged)]
enum Column<'r> {
    Text(Cow<'r, str>),
    Number(i64),
    Null(()),
}

impl<'r> Column<'r> {
    fn text(text: impl Into<Cow<'r, str>>) -> Self {
        Self::Text(text.into())
    }

    fn text_or_null(text: Option<&'r str>) -> Self {
        text.map_or(Self::Null(()), Self::text)
    }
}

/// The values of a row, in the order of its columns. A change is the text of it, because PostgreSQL takes no
/// zero byte out of JSON, and that has it spelled out.
fn columns(record: &AuditRecord) -> [Column<'_>; COLUMNS.len()] {
    [
        Column::text(&record.id),
        Column::text(format_timestamp(record.at)),
        Column::text(&record.tenant.id),
        Column::text(&record.tenant.name),
        Column::text(&record.key),
        Column::text(&record.operation),
        Column::text_or_null(record.environment.as_deref()),
        Column::text(&record.outcome),
        record
            .status
            .map_or(Column::Null(()), |status| Column::Number(status.into())),
        Column::text_or_null(record.error.as_deref()),
        Column::text(&record.request_id),
        Column::Number(i64::try_from(record.repeats).unwrap_or(i64::MAX)),
        Column::text_or_null(record.change.as_ref().map(Difference::as_str)),
        Column::text_or_null(record.actor.as_deref()),
        Column::text_or_null(record.client_address.as_deref()),
    ]
}

/// How many rows a statement writes at most.
const ROWS_AT_ONCE: usize = 128;

/// A placeholder for each value, none with a name: SQLite would look for each among all others. The numbers of rows
/// are powers of two, so that there are a few statements, which the connection keeps parsed: SQLite's is nobody else's.
async fn insert_by_values<R: Borrow<AuditRecord>>(
    connection: &mut AnyConnection,
    records: &[R],
) -> sqlx::Result<()> {
    let mut left = records;
    while !left.is_empty() {
        let most = ROWS_AT_ONCE.min(left.len());
        let (rows, rest) = left.split_at(1 << most.ilog2());
        let row = format!("({})", ["?"; COLUMNS.len()].join(","));
        let values = vec![row; rows.len()].join(",");
        let columns_text = COLUMNS.join(", ");
        let statement =
            format!("INSERT INTO audit ({columns_text}) VALUES {values} ON CONFLICT (id) DO NOTHING");
        let mut insertion = sqlx::query(AssertSqlSafe(statement));
        for column in rows.iter().flat_map(|record| columns(record.borrow())) {
            insertion = match column {
                Column::Text(text) => insertion.bind(text.into_owned()),
                Column::Number(number) => insertion.bind(number),
                Column::Null(()) => insertion.bind(None::<String>),
            };
        }
        insertion.execute(&mut *connection).await?;
        left = rest;
    }
    Ok(())
}

/// As the one value of a statement: a JSON array of arrays. So the text of it is the same however many rows there
/// are, and nothing is kept by a connection.
async fn insert_as_json<R: Borrow<AuditRecord>>(
    connection: &mut AnyConnection,
    records: &[R],
) -> sqlx::Result<()> {
    let rows: Vec<_> = records.iter().map(|record| columns(record.borrow())).collect();
    let rows = serde_json::to_string(&rows).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let values = COLUMNS.iter().enumerate().map(|(place, column)| {
        let cast = if NUMBERS.contains(column) { "::bigint" } else { "" };
        format!("(value ->> {place}){cast}")
    });
    let values = values.collect::<Vec<_>>().join(", ");
    let columns = COLUMNS.join(", ");
    // Materialised, or each row's text would be read anew for each column of it.
    let statement = format!(
        "WITH given AS MATERIALIZED \
         (SELECT place, value FROM json_array_elements($1::json) WITH ORDINALITY AS elements (value, place)) \
         INSERT INTO audit ({columns}) SELECT {values} FROM given WHERE true ORDER BY place \
         ON CONFLICT (id) DO NOTHING"
    );
    query(AssertSqlSafe(statement))
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
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

/// The condition of a query and the values that it names, in order.
fn conditions(query: &AuditQuery) -> (String, Vec<String>) {
    let asked = [
        ("(tenant_id = $ OR tenant_name = $)", query.tenant.clone()),
        ("environment = $", query.environment.clone()),
        ("actor = $", query.actor.clone()),
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
        let change = row.change_json.map(Difference::parse).transpose();
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
