//! Which betas a request goes up with.

use std::collections::HashSet;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::ApiError;
use super::echo::quoted;

/// The header that names betas, in one list or in several lines.
pub const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// A beta that the API of environments needs has a name that begins so; which one, an upstream may have its
/// own mind.
const ENVIRONMENTS_PREFIX: &str = "managed-agents-";

const MAX_NAMES: usize = 64;
const MAX_NAME_BYTES: usize = 128;
const MAX_BYTES: usize = 4 * 1024;

/// What betas the requests of a plan have.
///
/// ```
/// use envgate::contract::BetaRules;
/// use http::{HeaderMap, HeaderValue};
///
/// let rules = BetaRules {
///     required: HeaderValue::from_static("managed-agents-2026-04-01"),
///     allowed: None,
/// };
/// let mut client = HeaderMap::new();
/// client.append("anthropic-beta", HeaderValue::from_static("b, a"));
/// client.append("anthropic-beta", HeaderValue::from_static("a"));
/// let betas = rules.for_upstream(&client).unwrap();
/// assert_eq!(betas, "b,a,managed-agents-2026-04-01");
/// assert_eq!(BetaRules::sorted(&betas), "a,b,managed-agents-2026-04-01");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BetaRules {
    /// The beta without which the upstream does not know environments.
    pub required: HeaderValue,
    /// What clients may ask for besides; none for everything.
    pub allowed: Option<Vec<String>>,
}

impl BetaRules {
    /// Whether a text can be the name of a beta.
    #[must_use]
    pub fn is_name(text: &str) -> bool {
        let is_legal = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(is_legal)
    }

    /// The betas that go up: the client's in first-seen order and once each, and the required one, unless the
    /// client names one of its kind.
    ///
    /// # Errors
    /// [`ApiError::BadRequest`] where they are too many, too long or no names, [`ApiError::Forbidden`] for
    /// one that the plan does not have.
    pub fn for_upstream(&self, client: &HeaderMap) -> Result<HeaderValue, ApiError> {
        let mut lines = client.get_all(&BETA).iter();
        match (lines.next(), lines.next()) {
            (None, _) => return Ok(self.required.clone()),
            (Some(only), None) if *only == self.required => return Ok(self.required.clone()),
            _ => {}
        }
        let lines = client.get_all(&BETA);
        if lines.iter().map(HeaderValue::len).sum::<usize>() > MAX_BYTES {
            return Err(bad("anthropic-beta is longer than 4096 bytes"));
        }
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for line in lines {
            let line = line
                .to_str()
                .map_err(|_| bad("anthropic-beta has a character that no beta has"))?;
            for name in names_in(line) {
                if name.len() > MAX_NAME_BYTES {
                    return Err(bad("anthropic-beta has a name of more than 128 characters"));
                }
                if seen.insert(name) {
                    names.push(name);
                }
                if names.len() > MAX_NAMES {
                    return Err(bad("anthropic-beta has more than 64 names"));
                }
            }
        }
        names.iter().try_for_each(|name| self.check(name))?;
        let required = self.required.to_str().unwrap_or_default();
        if !names.iter().any(|name| name.starts_with(ENVIRONMENTS_PREFIX)) && !seen.contains(required) {
            names.push(required);
        }
        // Names out of legal values, joined by commas, are a legal value.
        HeaderValue::try_from(names.join(",")).map_err(|_| ApiError::Internal)
    }

    /// The same betas in an order of their own, for what depends on which they are and not on how they were
    /// written.
    #[must_use]
    pub fn sorted(betas: &HeaderValue) -> HeaderValue {
        let Ok(text) = betas.to_str() else {
            return betas.clone();
        };
        if !text.contains(',') {
            return betas.clone();
        }
        let mut names: Vec<_> = names_in(text).collect();
        names.sort_unstable();
        HeaderValue::try_from(names.join(",")).unwrap_or_else(|_| betas.clone())
    }

    fn check(&self, name: &str) -> Result<(), ApiError> {
        let is_allowed = match &self.allowed {
            None => true,
            Some(allowed) => {
                name.as_bytes() == self.required.as_bytes() || allowed.iter().any(|one| one == name)
            }
        };
        if is_allowed {
            return Ok(());
        }
        let shown = quoted(name).unwrap_or_else(|| format!("with a name of {} characters", name.len()));
        Err(ApiError::Forbidden(format!(
            "the plan of this tenant does not allow the beta {shown} in anthropic-beta"
        )))
    }
}

fn names_in(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

const fn bad(problem: &'static str) -> ApiError {
    ApiError::BadRequest(std::borrow::Cow::Borrowed(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "managed-agents-2026-04-01";

    fn rules(allowed: Option<&[&str]>) -> BetaRules {
        BetaRules {
            required: HeaderValue::from_static(OURS),
            allowed: allowed.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    fn sent(rules: &BetaRules, lines: &[&str]) -> Result<String, String> {
        let lines = lines.iter().map(|line| (BETA, line.parse().unwrap()));
        let mut client = HeaderMap::new();
        lines.for_each(|(name, value): (_, HeaderValue)| {
            client.append(name, value);
        });
        match rules.for_upstream(&client) {
            Ok(betas) => Ok(betas.to_str().unwrap().to_owned()),
            Err(error) => Err(format!("{}: {error}", error.status().as_u16())),
        }
    }

    #[test]
    fn betas_go_up_once_each_in_first_seen_order_with_the_one_that_is_needed() {
        for (lines, expected) in [
            (&[][..], OURS.to_owned()),
            (&[""], OURS.to_owned()),
            (&[OURS], OURS.to_owned()),
            (&["b , a,,b"], format!("b,a,{OURS}")),
            (&["b", "a,b"], format!("b,a,{OURS}")),
            (&[&format!("{OURS},z")], format!("{OURS},z")),
        ] {
            assert_eq!(sent(&rules(None), lines), Ok(expected), "{lines:?}");
        }
    }

    #[test]
    fn a_clients_own_beta_of_environments_replaces_ours() {
        let newer = "managed-agents-2027-01-01";
        assert_eq!(sent(&rules(None), &[newer]), Ok(newer.to_owned()));
        assert_eq!(sent(&rules(None), &["a", newer]), Ok(format!("a,{newer}")));
    }

    #[test]
    fn too_many_too_long_or_illegal_betas_are_refused() {
        let names = |count: usize| {
            (0..count)
                .map(|n| format!("beta-{n}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        assert!(sent(&rules(None), &[&names(64)]).is_ok());
        assert!(
            sent(&rules(None), &[&names(64), &names(64)]).is_ok(),
            "the same once more"
        );
        for (line, problem) in [
            (names(65), "400: anthropic-beta has more than 64 names"),
            (
                "n".repeat(129),
                "400: anthropic-beta has a name of more than 128 characters",
            ),
            (" ".repeat(4097), "400: anthropic-beta is longer than 4096 bytes"),
            (
                "bêta".to_owned(),
                "400: anthropic-beta has a character that no beta has",
            ),
        ] {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            let error = rules(None)
                .for_upstream(&HeaderMap::from_iter([(BETA, line)]))
                .unwrap_err();
            assert_eq!(format!("{}: {error}", error.status().as_u16()), problem);
        }
        assert!(sent(&rules(None), &["n".repeat(128).as_str()]).is_ok());
    }

    #[test]
    fn a_beta_outside_the_plan_is_named() {
        let rules = rules(Some(&["files-1"]));
        assert_eq!(sent(&rules, &["files-1", OURS]), Ok(format!("files-1,{OURS}")));
        assert_eq!(
            sent(&rules, &["files-1,files-2"]),
            Err(
                "403: the plan of this tenant does not allow the beta \"files-2\" in anthropic-beta"
                    .to_owned()
            )
        );
        let other = "managed-agents-2027-01-01";
        assert!(
            sent(&rules, &[other]).unwrap_err().contains(other),
            "not even another of ours"
        );
        assert!(
            sent(&rules, &["x".repeat(100).as_str()])
                .unwrap_err()
                .contains("100 characters")
        );
    }
}
