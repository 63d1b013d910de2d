//! What a query asks for, read strictly: every name known, none twice.

use std::collections::HashMap;

use url::form_urlencoded;

use super::problem::Problem;
use crate::text::nearest_name;

/// The parameters of a query, taken one after the other.
#[derive(Debug)]
pub(super) struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Reads a query with at most these parameters.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                return Err(unknown(&name, known));
            }
            if parameters
                .insert(name.clone().into_owned(), value.into_owned())
                .is_some()
            {
                return Err(Problem::bad_query(&name, "is there twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter as it came, if it is there.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// What `parse` makes of a parameter, if it is there.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        let parsed = self.text(name).map(|text| parse(&text)).transpose();
        parsed.map_err(|expected| Problem::bad_query(name, expected))
    }
}

fn unknown(name: &str, known: &[&str]) -> Problem {
    let hint = match nearest_name(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => format!("there are {}", known.join(", ")),
    };
    Problem::bad_query(name, format!("there is no such parameter; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_there_twice_is_named() {
        let read = |query| Parameters::read(Some(query), &["limit", "page"]);
        let mut parameters = read("page=a%20b&limit=x").unwrap();
        assert_eq!(parameters.text("page").as_deref(), Some("a b"));
        assert_eq!(parameters.text("page"), None);
        for (query, problem) in [
            ("limit=1&limit=1", "query parameter limit: is there twice"),
            (
                "pgae=1",
                "query parameter pgae: there is no such parameter; did you mean page?",
            ),
            (
                "offset=1",
                "query parameter offset: there is no such parameter; there are limit, page",
            ),
        ] {
            assert_eq!(read(query).unwrap_err().to_string(), problem, "{query}");
        }
    }
}
