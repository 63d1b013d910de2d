use axum::extract::Query;
use axum::http::Uri;

use super::refusal::Refusal;
use crate::contract::ApiError;
use crate::store::PageRequest;

const DEFAULT_LIMIT: u16 = 20;
const MAX_LIMIT: u16 = 1000;

/// What the query of a list asks for. Names that the API does not know are ignored: `beta=true` is one.
pub(super) fn page_request(uri: &Uri) -> Result<PageRequest, Refusal> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map_err(|_| ApiError::BadRequest("the query cannot be read".into()))?;
    let include_archived = match only(&pairs, "include_archived")? {
        None => false,
        Some("true") => true,
        Some("false") => false,
        Some(_) => return bad("include_archived", "must be true or false"),
    };
    let limit = match only(&pairs, "limit")?.map(str::parse) {
        None => DEFAULT_LIMIT,
        Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => limit,
        Some(_) => return bad("limit", "must be a number from 1 to 1000"),
    };
    let cursor = only(&pairs, "page")?.map(str::to_owned);
    Ok(PageRequest {
        include_archived,
        limit,
        cursor,
    })
}

/// The value of a parameter that may come once.
fn only<'a>(pairs: &'a [(String, String)], name: &'static str) -> Result<Option<&'a str>, Refusal> {
    let mut values = pairs
        .iter()
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => bad(name, "must come once at most"),
    }
}

fn bad<T>(name: &'static str, problem: &'static str) -> Result<T, Refusal> {
    Err(ApiError::BadQuery { name, problem }.into())
}
