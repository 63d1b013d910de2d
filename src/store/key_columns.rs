//! The terms of a key as columns: what is written here is read here.

use jiff::Timestamp;
use sqlx::FromRow;

use super::{StoreError, is_name};
use crate::contract::Operation;
use crate::environment::EnvironmentId;
use crate::tenancy::{KeyTerms, Restrictions};
use crate::text::format_timestamp;

/// More than a person names by hand, few enough for every key to stay small.
const MOST_ENVIRONMENTS: usize = 100;

#[derive(FromRow)]
pub(super) struct KeyColumns {
    pub(super) label: Option<String>,
    pub(super) expires_at: Option<String>,
    pub(super) operations: Option<String>,
    pub(super) environments: Option<String>,
}

/// Whether a key may be given on these terms.
pub(super) fn validate(terms: &KeyTerms) -> Result<(), StoreError> {
    if terms.label.as_deref().is_some_and(|label| !is_name(label)) {
        return Err(StoreError::BadLabel);
    }
    if terms.expires_at.is_some_and(|expiry| expiry <= Timestamp::now()) {
        return Err(StoreError::PastExpiry);
    }
    let environments = terms.restrictions.as_ref().and_then(Restrictions::environments);
    match environments {
        Some(environments) if environments.len() > MOST_ENVIRONMENTS => {
            Err(StoreError::TooManyEnvironments(MOST_ENVIRONMENTS))
        }
        _ => Ok(()),
    }
}

impl From<&KeyTerms> for KeyColumns {
    fn from(terms: &KeyTerms) -> Self {
        let restrictions = terms.restrictions.as_ref();
        let operations = restrictions.and_then(Restrictions::operations);
        let environments = restrictions.and_then(Restrictions::environments);
        Self {
            label: terms.label.clone(),
            expires_at: terms.expires_at.map(format_timestamp),
            operations: operations.map(|named| join(named.iter().map(|operation| operation.name()))),
            environments: environments.map(|named| join(named.iter().map(EnvironmentId::as_str))),
        }
    }
}

impl KeyColumns {
    pub(super) fn into_terms(self) -> Result<KeyTerms, StoreError> {
        Ok(KeyTerms {
            expires_at: self.expires_at.as_deref().map(parse_timestamp).transpose()?,
            restrictions: restrictions(self.operations.as_deref(), self.environments.as_deref())?,
            label: self.label,
        })
    }
}

/// A name that nobody knows is an error and never dropped: without it the key could do more than it may.
pub(super) fn restrictions(
    operations: Option<&str>,
    environments: Option<&str>,
) -> Result<Option<Restrictions>, StoreError> {
    let operations: Vec<_> = names(operations)
        .map(|name| {
            Operation::by_name(name)
                .ok_or_else(|| StoreError::Unreadable(format!("a key names the unknown operation {name:?}")))
        })
        .collect::<Result<_, _>>()?;
    let environments: Vec<_> = names(environments)
        .map(|id| EnvironmentId::parse(id).map_err(|error| StoreError::Unreadable(error.to_string())))
        .collect::<Result<_, _>>()?;
    Ok(Restrictions::new(&operations, environments))
}

/// A time as the store writes them.
pub(super) fn parse_timestamp(text: &str) -> Result<Timestamp, StoreError> {
    text.parse()
        .map_err(|error: jiff::Error| StoreError::Unreadable(error.to_string()))
}

fn names(column: Option<&str>) -> impl Iterator<Item = &str> {
    column.into_iter().flat_map(|names| names.split(','))
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(",")
}
