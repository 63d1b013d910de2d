use std::fmt;

use http::HeaderValue;

use super::plan::Plan;
use super::settings::Settings;

/// What the requests of a plan go up with. Plans with one access see the same environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// The name of a credential; none for the upstream's own.
    pub credential: Option<&'a str>,
    /// The workspace; none where the upstream decides.
    pub workspace_id: Option<&'a HeaderValue>,
}

impl Settings {
    /// The access of a plan. One credential under several names is one access, named by the first of them.
    #[must_use]
    pub fn access<'a>(&'a self, plan: &'a Plan) -> Access<'a> {
        Access {
            credential: plan.credential.as_deref().and_then(|name| self.first_name(name)),
            workspace_id: plan.workspace_id.as_ref(),
        }
    }

    /// The first name of the credential that is called `name`; none where it is the upstream's own.
    fn first_name<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let Some(key) = self.credentials.get(name) else {
            return Some(name);
        };
        let service = self.upstream.service.as_ref();
        if service.is_some_and(|service| service.credential == key.key) {
            return None;
        }
        let mut credentials = self.credentials.iter();
        let first = credentials.find(|(_, other)| other.key == key.key);
        first.map(|(first, _)| first.as_str())
    }
}

/// In words, after which a verb can follow: `the credential research with the workspace wrkspc_1`.
impl fmt::Display for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.credential {
            Some(name) => write!(f, "the credential {name}")?,
            None => f.write_str("the upstream credential")?,
        }
        match self.workspace_id.and_then(|id| id.to_str().ok()) {
            Some(id) => write!(f, " with the workspace {id}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Source, load};

    #[test]
    fn an_access_is_told_by_what_the_credential_is_and_not_by_its_name() {
        let text = "[credentials]\na = { key = { env = \"A\" }, budget = \"default\" }\nb = { key = { env = \"A\" }, budget = \"default\" }\nown = { key = { env = \"OWN\" }, budget = \"default\" }\n\
                    [plans]\na.credential = \"a\"\nb.credential = \"b\"\nown.credential = \"own\"\n\
                    there.credential = \"a\"\nthere.workspace_id = \"wrkspc_1\"\n";
        let environment = [
            ("ENVGATE_UPSTREAM__URL", "https://api.anthropic.com"),
            ("ENVGATE_UPSTREAM__CREDENTIAL", "sk-own"),
            ("OWN", "sk-own"),
            ("A", "sk-a"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = load(&Source::new("envgate.toml", text, environment)).unwrap();
        let access = |plan: &str| settings.access(&settings.plans[plan]).to_string();
        assert_eq!(access("default"), "the upstream credential");
        assert_eq!(access("own"), "the upstream credential");
        assert_eq!(access("a"), "the credential a");
        assert_eq!(access("b"), "the credential a");
        assert_eq!(access("there"), "the credential a with the workspace wrkspc_1");
    }
}
