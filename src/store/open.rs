use super::{Store, StoreError, postgres, sqlite};

impl Store {
    /// Opens the store that `url` names and brings its schema up to date.
    ///
    /// `sqlite:` and a path, relative or absolute, is a SQLite file. It is made where it is missing, readable
    /// by its owner only; the directory must be there. `postgres://` names a database of a PostgreSQL server,
    /// which must be there; whoever opens it first makes the tables, others wait for that.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`], [`StoreError::Unreachable`], [`StoreError::TooNew`] or
    /// [`StoreError::Migration`].
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let pool = match url.split_once(':') {
            Some(("sqlite", rest)) => sqlite::open(rest).await?,
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => postgres::open(url).await?,
            _ => return Err(not_supported(url)),
        };
        Ok(Self { pool })
    }

    /// Opens a store to look at it: nothing is made and the schema stays as it is, so that a gateway of an older
    /// version can go on with it. None where there is no store yet.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] or [`StoreError::Unreachable`]. A schema that is not of this version shows in the
    /// first query.
    pub async fn open_existing(url: &str) -> Result<Option<Self>, StoreError> {
        let pool = match url.split_once(':') {
            Some(("sqlite", rest)) => sqlite::open_existing(rest).await?,
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Some(postgres::connect(url).await?)
            }
            _ => return Err(not_supported(url)),
        };
        Ok(pool.map(|pool| Self { pool }))
    }
}

fn not_supported(url: &str) -> StoreError {
    let found = scheme(url).map_or(String::new(), |scheme| format!("; {scheme}: is not supported"));
    StoreError::BadUrl(format!(
        "a store URL is sqlite: and the path of a file, or postgres:// and a database{found}"
    ))
}

/// The scheme alone, for a message: whatever follows may have a password in it.
fn scheme(url: &str) -> Option<&str> {
    let (scheme, _) = url.split_once("://")?;
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (!scheme.is_empty() && scheme.bytes().all(is_scheme)).then_some(scheme)
}

#[cfg(test)]
mod tests;
