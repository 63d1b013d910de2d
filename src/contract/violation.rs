use serde::Serialize;

/// One place where a document breaks its schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where, as a JSON pointer (RFC 6901) into the document; an unexpected name is pointed at itself.
    pub pointer: String,
    /// The same place as the schema describes it, for the labels of a metric: `*` stands for an element of a list and
    /// for a name that is not the schema's, so that no client can make a new one.
    #[serde(skip)]
    pub schema_pointer: String,
    /// The schema keyword that was broken, such as `additionalProperties`, or the rule of a plan's policy.
    pub keyword: &'static str,
    /// What was expected and what came, in words, with the path as a person writes it.
    pub message: String,
    /// What to do about it, where a guess is near at hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Violation {
    /// All values of [`Violation::keyword`] that a schema gives, for the labels of a metric.
    pub const KEYWORDS: [&'static str; 9] = [
        "additionalProperties",
        "enum",
        "maxLength",
        "minLength",
        "pattern",
        "propertyNames",
        "required",
        "schema",
        "type",
    ];
}

/// All violations of one document: the first few told, the rest counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    /// The first violations, at least one and at most [`Violations::TOLD`].
    pub told: Vec<Violation>,
    /// How many there are in all; counting stops at [`Violations::COUNTED`].
    pub total: usize,
}

impl Violations {
    /// How many violations an answer tells.
    pub const TOLD: usize = 20;
    /// Where counting stops.
    pub const COUNTED: usize = 1000;

    /// No violation yet.
    pub(crate) const fn none() -> Self {
        Self {
            told: Vec::new(),
            total: 0,
        }
    }

    /// Adds one more; it is made only where it is told.
    pub(crate) fn add(&mut self, violation: impl FnOnce() -> Violation) {
        self.total = self.total.saturating_add(1);
        if self.told.len() < Self::TOLD {
            self.told.push(violation());
        }
    }

    /// What is said of a body of which nobody can tell what is wrong with it.
    pub(super) fn unexplained() -> Self {
        Self {
            told: vec![Violation {
                pointer: String::new(),
                schema_pointer: String::new(),
                keyword: "schema",
                message: "the body breaks its schema".to_owned(),
                hint: None,
            }],
            total: 1,
        }
    }

    /// The total as it is shown: a number, or `1000+`.
    #[must_use]
    pub fn total_in_words(&self) -> String {
        if self.total > Self::COUNTED {
            format!("{}+", Self::COUNTED)
        } else {
            self.total.to_string()
        }
    }

    /// The message of the whole: the first violation and its hint, and how many more there are.
    #[must_use]
    pub fn message(&self) -> String {
        let Some(first) = self.told.first() else {
            return "the body breaks its schema".to_owned();
        };
        let mut message = first.message.clone();
        if let Some(hint) = &first.hint {
            message.push_str("; ");
            message.push_str(hint);
        }
        match self.total.saturating_sub(1) {
            0 => {}
            1 => message.push_str(" (and 1 more violation)"),
            more if self.total <= Self::COUNTED => {
                message.push_str(&format!(" (and {more} more violations)"))
            }
            _ => message.push_str(&format!(" (and more than {} more violations)", Self::COUNTED)),
        }
        message
    }
}
