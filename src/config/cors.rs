//! `[cors]`: which pages in browsers may talk to the gateway.

use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::errors::Problem;
use super::reader::Reader;
use super::tree::Raw;
use super::values;

/// `[cors]`
#[derive(Clone, Debug)]
pub struct Cors {
    /// Whose pages.
    pub origins: AllowedOrigins,
    /// For how long a browser may keep what it was told.
    pub max_age: Duration,
}

/// The origins whose pages may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// All of them.
    Any,
    /// These, as browsers write them.
    Listed(Vec<HeaderValue>),
}

impl Reader<'_> {
    /// None where no origin is allowed.
    pub(super) fn cors(&mut self) -> Option<Option<Cors>> {
        const PATH: &str = "cors.allowed_origins";
        let max_age = self.read("cors.max_age", values::duration);
        let written = self.entries.settings.get(PATH);
        let origins = match written {
            Some(written) if matches!(written.raw, Raw::List(_)) => self.read_list(PATH, origin)?,
            _ => self.read_optional(PATH, origins)?,
        };
        let max_age = max_age?;
        Some(origins.filter(|origins| !origins.is_empty()).map(|origins| {
            let listed: Option<Vec<_>> = origins.into_iter().collect();
            let origins = listed.map_or(AllowedOrigins::Any, AllowedOrigins::Listed);
            Cors { origins, max_age }
        }))
    }
}

/// As they stand in a variable.
fn origins(raw: &Raw) -> Result<Vec<Option<HeaderValue>>, Problem> {
    let text = values::text(raw)?;
    let each = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    each.map(parse).collect()
}

fn origin(raw: &Raw) -> Result<Option<HeaderValue>, Problem> {
    parse(values::text(raw)?)
}

/// An origin as browsers write it; none for any.
fn parse(text: &str) -> Result<Option<HeaderValue>, Problem> {
    if text == "*" {
        return Ok(None);
    }
    // What is written otherwise would never be equal to what comes.
    let is_origin = Url::parse(text)
        .is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == text);
    let value = HeaderValue::from_str(text)
        .ok()
        .filter(|_| is_origin && !text.contains('*'));
    value.map(Some).ok_or(Problem::NotOrigin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::tests::{faults, settings};

    fn listed(origins: &[&'static str]) -> Option<AllowedOrigins> {
        let origins = origins.iter().map(|origin| HeaderValue::from_static(origin));
        Some(AllowedOrigins::Listed(origins.collect()))
    }

    #[test]
    fn origins_are_a_list_in_the_file_and_have_commas_in_the_environment() {
        let origins = |text: &str, environment: &[(&str, &str)]| {
            settings(text, environment).cors.map(|cors| cors.origins)
        };
        assert_eq!(origins("", &[]), None);
        assert_eq!(origins("cors.allowed_origins = []", &[]), None);
        assert_eq!(
            origins("cors.allowed_origins = [\"*\"]", &[]),
            Some(AllowedOrigins::Any)
        );
        let two = ["https://a.example", "http://localhost:3000"];
        assert_eq!(
            origins(
                "cors.allowed_origins = [\"https://a.example\", \"http://localhost:3000\"]",
                &[]
            ),
            listed(&two)
        );
        let variable = [(
            "ENVGATE_CORS__ALLOWED_ORIGINS",
            "https://a.example, http://localhost:3000",
        )];
        assert_eq!(origins("", &variable), listed(&two));
    }

    #[test]
    fn what_no_browser_would_send_is_said() {
        for text in [
            "https://a.example/",
            "a.example",
            "https://A.example",
            "https://a.example:443",
            "null",
            "https://*.a",
            "ftp:x",
        ] {
            let faults = faults(&format!("cors.allowed_origins = [\"{text}\"]"), &[]);
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
            assert!(faults[0].contains("expected \"*\" or an origin"), "{faults:?}");
        }
    }
}
