use std::sync::Arc;

use super::schema::Schema;
use super::{Backend, Store, StoreError, StoreHealth, postgres, sqlite};

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
        let (backend, rest) = backend(url)?;
        let pool = match backend {
            Backend::Sqlite => sqlite::open(rest, &health).await?,
            Backend::Postgres => postgres::connect(url, &health).await?,
        };
        let store = Self {
            pool,
            backend,
            health,
            recording: None,
        };
        if store.schema().await? != Schema::Current {
            match backend {
                Backend::Sqlite => sqlite::migrate(&store.pool).await?,
                Backend::Postgres => postgres::migrate(url).await?,
            }
        }
        Ok(store)
    }

    /// Opens a store that is there, and brings its schema up to date. Nothing is made.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none, and those of [`Store::open`].
    pub async fn open_existing(url: &str) -> Result<Self, StoreError> {
        match Self::open_to_look(url).await? {
            Some((store, Schema::Current)) => Ok(store),
            Some((store, Schema::Outdated)) => {
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
        let (backend, rest) = backend(url)?;
        let health = Arc::default();
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

/// The store that a URL names, as a person may read it: without a password.
#[must_use]
pub fn display_name(url: &str) -> String {
    match url.split_once(':') {
        Some(("sqlite", rest)) => sqlite::absolute(rest).display().to_string(),
        _ => postgres::name(url),
    }
}

/// Which database a URL names, and what follows its scheme.
fn backend(url: &str) -> Result<(Backend, &str), StoreError> {
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
