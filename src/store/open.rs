use std::sync::Arc;

use super::schema::Schema;
use super::{Backend, Store, StoreError, StoreHealth, postgres, sqlite};
use crate::config;

impl Store {
    /// Opens the store that `url` names and brings its schema up to date.
    ///
    /// `sqlite:` and a path, relative or absolute, is a SQLite file. It is made where it is missing, readable
    /// by its owner only; the directory must be there. `postgres://` names a database of a PostgreSQL server,
    /// which must be there; whoever opens it first makes the tables, others wait for that.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`], [`StoreError::Unreachable`], [`StoreError::Unusable`], [`StoreError::TooNew`] or
    /// [`StoreError::Migration`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with_health(url, Arc::default()).await
    }

    /// The same; how the store does is noted in `health` from now on.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub async fn open_with_health(url: &str, health: Arc<StoreHealth>) -> Result<Self, StoreError> {
        let store = Self::connect(url, health).await?;
        if store.schema().await? != Schema::Current {
            store.bring_up_to_date(url).await?;
        }
        Ok(store)
    }

    /// Opens the store that the settings name, with all that they say of it.
    ///
    /// # Errors
    /// [`StoreError::Outdated`] where its tables would have to be made or changed and nobody may, and those of
    /// [`Store::open`].
    pub async fn open_configured(
        settings: &config::Store,
        health: Arc<StoreHealth>,
    ) -> Result<Self, StoreError> {
        let url = settings.url.reveal();
        if settings.may_migrate {
            return Self::open_with_health(url, health).await;
        }
        let needed = backend(url)?.0.known_version();
        let Some((store, schema)) = Self::open_if_there(url, health).await? else {
            return Err(StoreError::Outdated {
                version: None,
                needed,
            });
        };
        if schema == Schema::Current {
            return Ok(store);
        }
        store.close().await;
        Err(store.outdated(schema))
    }

    /// That its tables are not those of this build, and that nobody who opens it may change them.
    #[must_use]
    pub fn outdated(&self, schema: Schema) -> StoreError {
        let needed = self.backend.known_version();
        let version = match schema {
            Schema::Missing => None,
            Schema::Outdated { version } => Some(version),
            Schema::Current => Some(needed),
        };
        StoreError::Outdated { version, needed }
    }

    /// The same, where there is a store already.
    ///
    /// # Errors
    /// [`StoreError::Missing`], and those of [`Store::open_configured`].
    pub async fn open_configured_existing(settings: &config::Store) -> Result<Self, StoreError> {
        let url = settings.url.reveal();
        if settings.may_migrate {
            return Self::open_existing(url).await;
        }
        match Self::open_configured(settings, Arc::default()).await {
            Err(StoreError::Outdated { version: None, .. }) => Err(StoreError::Missing(display_name(url))),
            outcome => outcome,
        }
    }

    /// Makes the tables of a store, or brings them up to date. Gives their version before, none where there were no
    /// tables, and after. Of several that do it at once one does and the others wait; what is ended halfway leaves the
    /// tables as they were.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub async fn migrate(url: &str) -> Result<(Option<i64>, i64), StoreError> {
        let store = Self::connect(url, Arc::default()).await?;
        let needed = store.backend.known_version();
        let outcome = async {
            let before = match store.schema().await? {
                Schema::Current => return Ok((Some(needed), needed)),
                Schema::Outdated { version } => Some(version),
                Schema::Missing => None,
            };
            store.bring_up_to_date(url).await?;
            Ok((before, needed))
        };
        let outcome = outcome.await;
        store.close().await;
        outcome
    }

    async fn connect(url: &str, health: Arc<StoreHealth>) -> Result<Self, StoreError> {
        let (backend, rest) = backend(url)?;
        let pool = match backend {
            Backend::Sqlite => sqlite::open(rest, &health).await?,
            Backend::Postgres => postgres::connect(url, &health).await?,
        };
        Ok(Self {
            pool,
            backend,
            health,
            recording: None,
        })
    }

    async fn bring_up_to_date(&self, url: &str) -> Result<(), StoreError> {
        match self.backend {
            Backend::Sqlite => sqlite::migrate(&self.pool).await,
            Backend::Postgres => postgres::migrate(url).await,
        }
    }

    /// Opens a store that is there, and brings its schema up to date. Nothing is made.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none, and those of [`Store::open`].
    pub async fn open_existing(url: &str) -> Result<Self, StoreError> {
        match Self::open_to_look(url).await? {
            Some((store, Schema::Current)) => Ok(store),
            Some((store, Schema::Outdated { .. })) => {
                store.close().await;
                Self::open(url).await
            }
            Some((_, Schema::Missing)) | None => Err(StoreError::Missing(display_name(url))),
        }
    }

    /// Opens a store to look at it: nothing is made and the schema stays as it is, so that a gateway of an older
    /// version can go on with it. None where there is no store yet.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub async fn open_to_look(url: &str) -> Result<Option<(Self, Schema)>, StoreError> {
        Self::open_if_there(url, Arc::default()).await
    }

    async fn open_if_there(
        url: &str,
        health: Arc<StoreHealth>,
    ) -> Result<Option<(Self, Schema)>, StoreError> {
        let (backend, rest) = backend(url)?;
        let pool = match backend {
            Backend::Sqlite => sqlite::open_existing(rest, &health).await?,
            Backend::Postgres => Some(postgres::connect(url, &health).await?),
        };
        let Some(pool) = pool else {
            return Ok(None);
        };
        let store = Self {
            pool,
            backend,
            health,
            recording: None,
        };
        let schema = store.schema().await?;
        Ok(Some((store, schema)))
    }

    /// Gives all connections back. A SQLite file that nobody else has open is whole then: what was written is in it and
    /// in no journal beside it.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The version of tables that this build makes in the store that `url` names.
///
/// # Errors
/// [`StoreError::BadUrl`]
pub fn newest_schema(url: &str) -> Result<i64, StoreError> {
    let (backend, _) = backend(url)?;
    Ok(backend.known_version())
}

/// The store that a URL names, as a person may read it: without a password.
#[must_use]
pub fn display_name(url: &str) -> String {
    match url.split_once(':') {
        Some(("sqlite", rest)) => sqlite::absolute(rest).display().to_string(),
        _ => postgres::name(url),
    }
}

/// Which database a URL names, and what follows its scheme.
pub(super) fn backend(url: &str) -> Result<(Backend, &str), StoreError> {
    match url.split_once(':') {
        Some(("sqlite", rest)) => Ok((Backend::Sqlite, rest)),
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok((Backend::Postgres, rest)),
        _ => {
            let found = scheme(url).map_or(String::new(), |scheme| format!("; {scheme}: is not supported"));
            Err(StoreError::BadUrl(format!(
                "a store URL is sqlite: and the path of a file, or postgres:// and a database{found}"
            )))
        }
    }
}

/// The scheme alone, for a message: whatever follows may have a password in it.
fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (!scheme.is_empty() && scheme.bytes().all(is_scheme)).then_some(scheme)
}

#[cfg(test)]
mod tests;
