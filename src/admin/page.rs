//! Lists in pages, each from after the last of the one before, so that what is made or deleted meanwhile
//! moves nothing.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer;
use super::parameters::Parameters;
use super::problem::Problem;
use crate::text::CursorSealer;

/// How many a page has where the query does not say, and at most.
const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1000;

/// The page that a query asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageQuery {
    limit: u16,
    /// As it came.
    page: Option<String>,
}

impl PageQuery {
    /// The names of its parameters.
    pub(super) const LIMIT: &str = "limit";
    pub(super) const PAGE: &str = "page";

    /// Reads a query that has `limit` and `page` at most.
    pub(super) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        Self::take(&mut Parameters::read(query, &[Self::LIMIT, Self::PAGE])?)
    }

    /// Takes `limit` and `page` from a query that may have more.
    pub(super) fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        let limit = parameters.parsed(Self::LIMIT, |text| {
            let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
            limit.ok_or_else(|| format!("expected a whole number from 1 to {MAX_LIMIT}"))
        })?;
        Ok(Self {
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            page: parameters.text(Self::PAGE),
        })
    }

    /// The position in `list` from after which the page goes on; none for the first page.
    pub(super) fn after<P: DeserializeOwned>(&self, list: &str) -> Result<Option<P>, Problem> {
        let Some(cursor) = &self.page else {
            return Ok(None);
        };
        let sealer = CursorSealer::without_secret()?;
        let expected = "expected the next_page of an earlier answer to this list";
        let position = sealer.open(cursor, &[list]);
        position
            .map(Some)
            .ok_or_else(|| Problem::bad_query(Self::PAGE, expected))
    }

    /// How many to look for: one more than are shown tells whether there is a next page.
    pub(super) const fn fetch_limit(&self) -> u16 {
        self.limit + 1
    }

    /// The answer with as many of `found` as the page takes, and the cursor of the next page. `position` says where
    /// an element stands.
    pub(super) fn answer<T, P: Serialize>(
        &self,
        list: &str,
        found: &[T],
        position: impl Fn(&T) -> P,
        show: impl Fn(&T) -> Value,
    ) -> Result<Response, Problem> {
        let limit = usize::from(self.limit);
        let shown = found.get(..limit).unwrap_or(found);
        let next = (found.len() > limit)
            .then(|| shown.last())
            .flatten()
            .map(|last| CursorSealer::without_secret()?.seal(&position(last), &[list]))
            .transpose()?;
        let data: Vec<_> = shown.iter().map(show).collect();
        Ok(answer(
            StatusCode::OK,
            &json!({ "data": data, "next_page": next }),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_a_limit_and_a_page_and_nothing_else() {
        let query = |text| PageQuery::parse(Some(text)).map_err(|problem| problem.to_string());
        assert_eq!(PageQuery::parse(None).unwrap().limit, 100);
        assert_eq!(query("limit=1000").unwrap().limit, 1000);
        assert_eq!(query("page=a%20b").unwrap().page.as_deref(), Some("a b"));
        for (text, problem) in [
            (
                "limit=0",
                "query parameter limit: expected a whole number from 1 to 1000",
            ),
            (
                "limit=1001",
                "query parameter limit: expected a whole number from 1 to 1000",
            ),
            (
                "limit=x",
                "query parameter limit: expected a whole number from 1 to 1000",
            ),
            (
                "tenant=x",
                "query parameter tenant: there is no such parameter; there are limit, page",
            ),
        ] {
            assert_eq!(query(text).unwrap_err(), problem, "{text}");
        }
    }
}
