use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{ApiError, Operation};

/// The query of a request, as far as its operation knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestQuery {
    /// Of a list: whether archived environments are listed too.
    pub include_archived: Option<bool>,
    /// Of a list: how many environments a page has at most, 1 to 1000.
    pub limit: Option<u16>,
    /// Of a list: the page, as the upstream named it in `next_page`.
    pub page: Option<String>,
    /// Of a delete: whether work of the environment that is queued goes with it. `force=false` is as good as
    /// none.
    pub is_forced: bool,
    /// Whether `beta=true` came, as older clients send it with every request.
    pub beta: bool,
}

/// What stands unencoded in a query: what RFC 3986 leaves alone everywhere.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl RequestQuery {
    /// Reads the query of a request, and counts the parameters that its operation does not know; they are
    /// dropped.
    ///
    /// # Errors
    /// [`ApiError::BadQuery`] where a known parameter is repeated or has a value of the wrong type.
    ///
    /// ```
    /// use envgate::contract::{Operation, RequestQuery};
    ///
    /// let (query, dropped) = RequestQuery::parse(Operation::List, Some("limit=2&page=a%2Bb&colour=red")).unwrap();
    /// assert_eq!((query.limit, query.page.as_deref(), dropped), (Some(2), Some("a+b"), 1));
    /// assert_eq!(query.to_query_string(), "limit=2&page=a%2Bb");
    /// assert!(RequestQuery::parse(Operation::List, Some("limit=0")).is_err());
    /// assert_eq!(RequestQuery::parse(Operation::Update, Some("limit=0")).unwrap().1, 1, "no update has it");
    /// ```
    pub fn parse(operation: Operation, query: Option<&str>) -> Result<(Self, usize), ApiError> {
        let is_list = operation == Operation::List;
        let mut include_archived = Parameter::new("include_archived");
        let mut limit = Parameter::new("limit");
        let mut page = Parameter::new("page");
        let mut force = Parameter::new("force");
        let mut beta = Parameter::new("beta");
        let mut dropped = 0;
        for (name, value) in pairs(query) {
            match name.as_deref() {
                Some("include_archived") if is_list => {
                    include_archived.set(value, boolean, "must be true or false")?;
                }
                Some("limit") if is_list => {
                    limit.set(value, page_size, "must be a whole number from 1 to 1000")?;
                }
                Some("page") if is_list => {
                    page.set(value, text, "must be the next_page of an earlier answer")?;
                }
                Some("force") if operation == Operation::Delete => {
                    force.set(value, boolean, "must be true or false")?;
                }
                Some("beta") => beta.set(value, boolean, "must be true or false")?,
                _ => dropped += 1,
            }
        }
        let query = Self {
            include_archived: include_archived.value,
            limit: limit.value,
            page: page.value,
            is_forced: force.value.unwrap_or(false),
            beta: beta.value.unwrap_or(false),
        };
        Ok((query, dropped))
    }

    /// Writes the query anew, from nothing but what was understood; empty where nothing was set.
    #[must_use]
    pub fn to_query_string(&self) -> String {
        let mut parts = Vec::new();
        if let Some(include_archived) = self.include_archived {
            parts.push(format!("include_archived={include_archived}"));
        }
        if let Some(limit) = self.limit {
            parts.push(format!("limit={limit}"));
        }
        if let Some(page) = &self.page {
            parts.push(format!("page={}", utf8_percent_encode(page, ENCODED)));
        }
        if self.is_forced {
            parts.push("force=true".to_owned());
        }
        if self.beta {
            parts.push("beta=true".to_owned());
        }
        parts.join("&")
    }
}

/// A known parameter, and its value once it came.
struct Parameter<T> {
    name: &'static str,
    value: Option<T>,
}

impl<T> Parameter<T> {
    const fn new(name: &'static str) -> Self {
        Self { name, value: None }
    }

    fn set(
        &mut self,
        value: Option<Cow<'_, str>>,
        read: impl FnOnce(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<(), ApiError> {
        let bad = |problem| ApiError::BadQuery {
            name: self.name,
            problem,
        };
        if self.value.is_some() {
            return Err(bad("must not be repeated"));
        }
        let read = value.as_deref().and_then(read).ok_or_else(|| bad(expected))?;
        self.value = Some(read);
        Ok(())
    }
}

/// The names and values of a query, decoded as forms are; none where that gives no UTF-8.
fn pairs(query: Option<&str>) -> impl Iterator<Item = (Option<Cow<'_, str>>, Option<Cow<'_, str>>)> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

fn boolean(text: &str) -> Option<bool> {
    text.parse().ok()
}

fn page_size(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = text.parse().ok().filter(|_| is_plain)?;
    (1..=1000).contains(&size).then_some(size)
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(query: &str) -> (&'static str, &'static str) {
        match RequestQuery::parse(Operation::List, Some(query)) {
            Err(ApiError::BadQuery { name, problem }) => (name, problem),
            other => panic!("{query} gave {other:?}"),
        }
    }

    #[test]
    fn a_list_without_a_query_has_none_upstream() {
        for query in [None, Some(""), Some("&&"), Some("beta=false")] {
            let (query, dropped) = RequestQuery::parse(Operation::List, query).unwrap();
            assert_eq!((query.to_query_string().as_str(), dropped), ("", 0));
        }
    }

    #[test]
    fn what_was_understood_is_written_anew() {
        for (query, expected) in [
            (
                "include_archived=true&limit=1000&page=p%C3%A9&beta=true",
                "include_archived=true&limit=1000&page=p%C3%A9&beta=true",
            ),
            ("li%6Dit=020&unknown=%26limit%3D3", "limit=20"),
            ("page=a+b%2Bc%26limit%3D3%00", "page=a%20b%2Bc%26limit%3D3%00"),
            ("include_archived=false", "include_archived=false"),
        ] {
            assert_eq!(
                RequestQuery::parse(Operation::List, Some(query))
                    .unwrap()
                    .0
                    .to_query_string(),
                expected
            );
        }
    }

    #[test]
    fn a_repeated_parameter_is_refused() {
        for (query, name) in [
            ("limit=2&limit=2", "limit"),
            ("page=a&p%61ge=b", "page"),
            ("beta=true&beta=false", "beta"),
            ("include_archived=true&include_archived=true", "include_archived"),
        ] {
            assert_eq!(refused(query), (name, "must not be repeated"));
        }
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=",
            "limit",
            "limit=+5",
            "limit=-1",
            "limit=1.0",
            "limit=99999999999",
            "limit=%FF",
        ] {
            assert_eq!(refused(query), ("limit", "must be a whole number from 1 to 1000"));
        }
        for query in ["include_archived=1", "include_archived=True", "include_archived"] {
            assert_eq!(refused(query), ("include_archived", "must be true or false"));
        }
        assert_eq!(refused("beta=yes").0, "beta");
        assert_eq!(refused("page=").0, "page");
        assert_eq!(refused("page=%FF").0, "page");
    }

    #[test]
    fn unknown_names_are_dropped_and_counted() {
        let (query, dropped) = RequestQuery::parse(Operation::List, Some("a=1&a=2&%FF=3&Limit=5")).unwrap();
        assert_eq!((query, dropped), (RequestQuery::default(), 4));
    }
}
