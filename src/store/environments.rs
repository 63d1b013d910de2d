use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;

use super::error::is_duplicate;
use super::transaction::{query, query_as, query_scalar};
use super::{Store, StoreError};
use crate::environment::{Environment, EnvironmentId};

/// Which environments a list asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Whether archived ones are among them.
    pub include_archived: bool,
    /// How many at most.
    pub limit: u16,
    /// [`Page::next`] of the page before; none for the first.
    pub after: Option<ListPosition>,
}

/// A position in the list of environments, newest first: after the one that has this time of creation and this id,
/// whether it still exists or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPosition {
    /// The time of creation in microseconds since 1970.
    pub created_at_micros: i64,
    /// The id, which orders what was created in one microsecond.
    pub id: EnvironmentId,
}

/// A part of the list of environments, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The environments.
    pub environments: Vec<Environment>,
    /// What asks for the page after this one; none where this is the last. It names a moment and not a row, so it
    /// stays good whatever is deleted.
    pub next: Option<ListPosition>,
}

/// How often a change starts again because others were faster. An attempt competes with the other
/// connections of the pools only, so this is reached where something is wrong.
const UPDATE_ATTEMPTS: usize = 1000;

impl Store {
    /// Puts a new environment in.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where its id is taken, or [`StoreError::Unreachable`]
    pub async fn insert_environment(&self, environment: &Environment) -> Result<(), StoreError> {
        let document = document(environment)?;
        self.write(async |connection| {
            let inserted = query(
                "INSERT INTO environments (id, created_at_micros, is_archived, revision, document) \
                 VALUES ($1, $2, $3, 1, $4)",
            )
            .bind(environment.id.as_str())
            .bind(environment.created_at.as_microsecond())
            .bind(i64::from(environment.is_archived()))
            .bind(document)
            .execute(connection)
            .await;
            match inserted {
                Ok(_) => Ok(()),
                Err(error) if is_duplicate(&error) => Err(StoreError::Conflict),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    /// Reads an environment.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn environment(&self, id: &EnvironmentId) -> Result<Environment, StoreError> {
        let document: Option<String> = self
            .read(async |connection| {
                let document = query_scalar("SELECT document FROM environments WHERE id = $1")
                    .bind(id.as_str())
                    .fetch_optional(connection);
                Ok(document.await?)
            })
            .await?;
        environment(&document.ok_or(StoreError::NotFound)?)
    }

    /// Reads a page of the list, newest first.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] or [`StoreError::Unreachable`]
    pub async fn environments(&self, request: &PageRequest) -> Result<Page, StoreError> {
        // Without a position the list begins before all that there can be.
        let (time, id) = match &request.after {
            Some(after) => (after.created_at_micros, after.id.as_str()),
            None => (i64::MAX, ""),
        };
        let limit = usize::from(request.limit);
        let documents: Vec<String> = self
            .read(async |connection| {
                let documents = query_scalar(
                    "SELECT document FROM environments \
             WHERE is_archived <= $1 \
             AND (created_at_micros < $2 OR (created_at_micros = $2 AND id < $3)) \
             ORDER BY created_at_micros DESC, id DESC LIMIT $4",
                )
                .bind(i64::from(request.include_archived))
                .bind(time)
                .bind(id)
                // One more than is shown tells whether there is a next page.
                .bind(i64::from(request.limit) + 1)
                .fetch_all(connection);
                Ok(documents.await?)
            })
            .await?;
        let environments: Vec<_> = documents
            .iter()
            .take(limit)
            .map(|document| environment(document))
            .collect::<Result<_, _>>()?;
        let next = environments
            .last()
            .filter(|_| documents.len() > limit)
            .map(|last| ListPosition {
                created_at_micros: last.created_at.as_microsecond(),
                id: last.id.clone(),
            });
        Ok(Page { environments, next })
    }

    /// Reads an environment, applies `change`, and writes what it gives unless somebody else has written
    /// meanwhile; then all of it starts again. So of two changes at once both are there afterwards, and `change`
    /// may be called several times.
    ///
    /// # Errors
    /// What `change` refuses; [`StoreError::NotFound`], [`StoreError::Conflict`], [`StoreError::Unreadable`] or
    /// [`StoreError::Unreachable`].
    pub async fn update_environment<E, F>(&self, id: &EnvironmentId, change: F) -> Result<Environment, E>
    where
        E: From<StoreError>,
        F: Fn(&Environment) -> Result<Environment, E>,
    {
        for _ in 0..UPDATE_ATTEMPTS {
            // One connection for both halves: who waits for a connection has not read what it would have to
            // read again.
            let attempt = self.write(async |connection| {
                let (stored, revision) = environment_and_revision(&mut *connection, id).await?;
                match change(&stored) {
                    Ok(changed) => {
                        let is_written = replace_environment(connection, &changed, revision).await?;
                        Ok(is_written.then_some(Ok(changed)))
                    }
                    Err(refused) => Ok(Some(Err(refused))),
                }
            });
            if let Some(outcome) = attempt.await? {
                return outcome;
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Takes an environment away.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Unreachable`]
    pub async fn delete_environment(&self, id: &EnvironmentId) -> Result<(), StoreError> {
        self.write(async |connection| {
            let deleted = query("DELETE FROM environments WHERE id = $1")
                .bind(id.as_str())
                .execute(connection)
                .await?;
            match deleted.rows_affected() {
                0 => Err(StoreError::NotFound),
                _ => Ok(()),
            }
        })
        .await
    }
}

async fn environment_and_revision(
    connection: &mut AnyConnection,
    id: &EnvironmentId,
) -> Result<(Environment, i64), StoreError> {
    let row: Option<(String, i64)> = query_as("SELECT document, revision FROM environments WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    let (document, revision) = row.ok_or(StoreError::NotFound)?;
    Ok((environment(&document)?, revision))
}

/// Writes an environment over its `revision`; false where that is no longer the stored one.
async fn replace_environment(
    connection: &mut AnyConnection,
    environment: &Environment,
    revision: i64,
) -> Result<bool, StoreError> {
    let updated = query(
        "UPDATE environments SET document = $1, is_archived = $2, revision = revision + 1 \
         WHERE id = $3 AND revision = $4",
    )
    .bind(document(environment)?)
    .bind(i64::from(environment.is_archived()))
    .bind(environment.id.as_str())
    .bind(revision)
    .execute(connection)
    .await?;
    Ok(updated.rows_affected() == 1)
}

fn document(environment: &Environment) -> Result<String, StoreError> {
    serde_json::to_string(environment).map_err(|error| StoreError::Unreadable(error.to_string()))
}

fn environment(document: &str) -> Result<Environment, StoreError> {
    serde_json::from_str(document).map_err(|error| StoreError::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests;
