//! Lists in pages, each from after the last of the one before, so that what is made or deleted meanwhile
//! moves nothing.

use axum::http::StatusCode;
use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::answer;
use super::parameters::Parameters;
use super::problem::Problem;

/// How many a page has where the query does not say, and at most.
const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1000;

const CHECK_BYTES: usize = 4;
/// Stands between the parts of a place: no name has it.
const SEPARATOR: char = '\0';

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

    /// The place in `list` from after which the page goes on; none for the first page.
    pub(super) fn after<const PARTS: usize>(&self, list: &str) -> Result<Option<[String; PARTS]>, Problem> {
        let Some(page) = &self.page else {
            return Ok(None);
        };
        let place = read(list, page).and_then(|parts| parts.try_into().ok());
        let expected = "expected the next_page of an earlier answer to this list";
        place
            .map(Some)
            .ok_or_else(|| Problem::bad_query(Self::PAGE, expected))
    }

    /// How many to look for: one more than are shown tells whether there is a next page.
    pub(super) const fn fetch_limit(&self) -> u16 {
        self.limit + 1
    }

    /// The answer with as many of `found` as the page takes, and the place of the next page. `place` says
    /// where an element stands.
    pub(super) fn answer<T>(
        &self,
        list: &str,
        found: &[T],
        place: impl Fn(&T) -> Vec<String>,
        show: impl Fn(&T) -> Value,
    ) -> Response {
        let limit = usize::from(self.limit);
        let shown = found.get(..limit).unwrap_or(found);
        let next = (found.len() > limit)
            .then(|| shown.last())
            .flatten()
            .map(|last| format_page(list, &place(last)));
        let data: Vec<_> = shown.iter().map(show).collect();
        answer(StatusCode::OK, &json!({ "data": data, "next_page": next }))
    }
}

/// A place as a text that a client sends back. Its checksum guards against mistakes, such as the cursor of
/// another list; there is nothing secret about a place in one.
fn format_page(list: &str, parts: &[String]) -> String {
    let place = parts.join(SEPARATOR.encode_utf8(&mut [0; 4]));
    let mut bytes = checksum(list, &place).to_vec();
    bytes.extend_from_slice(place.as_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

fn read(list: &str, page: &str) -> Option<Vec<String>> {
    let bytes = BASE64URL_NOPAD.decode(page.as_bytes()).ok()?;
    let (check, place) = bytes.split_first_chunk::<CHECK_BYTES>()?;
    let place = str::from_utf8(place).ok()?;
    (checksum(list, place) == *check).then(|| place.split(SEPARATOR).map(str::to_owned).collect())
}

fn checksum(list: &str, place: &str) -> [u8; CHECK_BYTES] {
    let whole = digest(&SHA256, format!("{list}{SEPARATOR}{place}").as_bytes());
    whole.as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_good_for_its_own_list_and_as_it_was_given() {
        let text = format_page(
            "keys acme",
            &["2026-01-01".to_owned(), "sk-eg-12345678".to_owned()],
        );
        let read_back = read("keys acme", &text).unwrap();
        assert_eq!(read_back, ["2026-01-01", "sk-eg-12345678"]);
        assert_eq!(read("keys zebra", &text), None);
        assert_eq!(read("keys acme", &text[1..]), None);
        assert_eq!(read("keys acme", &text[..text.len() - 1]), None);
        assert_eq!(read("keys acme", ""), None);
        assert_eq!(read("keys acme", "MQ"), None);
    }

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
