//! What a policy found, and where.

use std::fmt::{self, Display};

use crate::contract::{Violation, Violations, quoted};
use crate::text::JsonPointer;

/// The violations so far.
pub(super) struct Findings(Violations);

impl Default for Findings {
    fn default() -> Self {
        Self(Violations::none())
    }
}

impl Findings {
    /// Adds a violation; `explain` gives its message and hint, and is asked only where the violation is told.
    pub(super) fn add(
        &mut self,
        path: FindingPath<'_>,
        keyword: &'static str,
        explain: impl FnOnce(FindingPath<'_>) -> (String, Option<String>),
    ) {
        self.0.add(|| {
            let (message, hint) = explain(path);
            Violation {
                pointer: path.pointer(),
                schema_pointer: path.schema_pointer(),
                keyword,
                message,
                hint,
            }
        });
    }

    /// Adds what breaks a rule only where a null resets what is stored.
    pub(super) fn add_resets(&mut self, resets: Self) {
        for violation in resets.0.told {
            let is_same = |told: &Violation| {
                (told.pointer.as_str(), told.keyword) == (violation.pointer.as_str(), violation.keyword)
            };
            if self.0.told.iter().any(is_same) {
                continue;
            }
            self.0.add(|| Violation {
                message: format!("a null in the request can mean that {}", violation.message),
                hint: Some("leave the null out, or send a value".to_owned()),
                ..violation
            });
        }
    }

    pub(super) fn into_result(self) -> Result<(), Violations> {
        match self.0.total {
            0 => Ok(()),
            _ => Err(self.0),
        }
    }
}

/// A path in the resource: at most four steps, of which only the last can be an index.
#[derive(Clone, Copy)]
pub(super) struct FindingPath<'a> {
    names: [Option<&'a str>; 3],
    index: Option<usize>,
}

impl<'a> FindingPath<'a> {
    pub(super) const ROOT: Self = Self {
        names: [None; 3],
        index: None,
    };

    /// The member `name` of the object at this path; at most three levels down.
    pub(super) fn member(mut self, name: &'a str) -> Self {
        if let Some(free) = self.names.iter_mut().find(|step| step.is_none()) {
            *free = Some(name);
        }
        self
    }

    /// An element of the list at this path.
    pub(super) const fn element(self, index: usize) -> Self {
        Self {
            index: Some(index),
            ..self
        }
    }

    /// As a JSON pointer (RFC 6901).
    fn pointer(&self) -> String {
        let mut pointer = JsonPointer::default();
        self.names
            .iter()
            .flatten()
            .for_each(|name| pointer.push_name(name));
        if let Some(index) = self.index {
            pointer.push_index(index);
        }
        pointer.into()
    }

    /// The same, with `*` for an element; all names are the model's.
    fn schema_pointer(&self) -> String {
        match self.index {
            Some(_) => Self { index: None, ..*self }.pointer() + "/*",
            None => self.pointer(),
        }
    }
}

/// As a person writes it: `config.networking.allowed_hosts[2]`.
impl Display for FindingPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, name) in self.names.iter().flatten().enumerate() {
            let separator = if position == 0 { "" } else { "." };
            write!(f, "{separator}{name}")?;
        }
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

/// The violation of what no policy can judge.
pub(super) fn unknown(pointer: String, what: &str) -> Violations {
    unknown_at(pointer.clone(), pointer, what)
}

/// The same, where `schema_pointer` is what the model knows of the way there.
pub(super) fn unknown_at(pointer: String, schema_pointer: String, what: &str) -> Violations {
    let mut violations = Violations::none();
    violations.add(|| Violation {
        pointer,
        schema_pointer,
        keyword: "unknown",
        message: format!("{what} is not known to this gateway, so the policy of this plan cannot allow it"),
        hint: None,
    });
    violations
}

/// The same of each place where a body is none that this release knows.
pub(super) fn unknown_each(mut violations: Violations) -> Violations {
    for violation in &mut violations.told {
        violation.keyword = "unknown";
        violation.hint = None;
        violation
            .message
            .push_str(" as far as this gateway knows, so the policy of this plan cannot allow it");
    }
    violations
}

/// How many of the allowed values a hint names.
const NAMED: usize = 5;

/// `the hosts that it allows: "a.com", "b.com" and 3 more`
pub(super) fn choices(what: &str, allowed: impl ExactSizeIterator<Item = impl Display>) -> String {
    let count = allowed.len();
    if count == 0 {
        return format!("{what}: none");
    }
    let named: Vec<_> = allowed.take(NAMED).map(|value| format!("\"{value}\"")).collect();
    let more = match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{what}: {}{more}", named.join(", "))
}

/// A stored text as an answer may repeat it: in quotes, or described where it is long or might hold a
/// password.
pub(super) fn quote_stored(text: &str) -> String {
    let has_user = text.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
    let may_be_secret = text.contains("://") || has_user;
    quoted(text)
        .filter(|_| !may_be_secret)
        .unwrap_or_else(|| format!("a text of {} characters", text.chars().count()))
}
