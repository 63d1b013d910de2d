use std::collections::HashSet;
use std::sync::LazyLock;

use regex::RegexSet;
use serde_json::Value;

/// What an upstream's 400 blames the operator for, in words that say what can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorFault {
    /// The organisation is on hold.
    #[error("the organization is on hold: appeal at the address that the upstream gives")]
    OnHold,
    /// Whoever made the key has left the organisation.
    #[error("who made the upstream key is no member of the organization any more: make a new key")]
    KeyCreatorLeft,
    /// The organisation may not use the beta.
    #[error("the organization is not enrolled in the beta: ask the upstream for access")]
    NotEnrolled,
    /// The credit balance is too low.
    #[error("the credit balance is too low: add credit under Plans & Billing")]
    CreditBalance,
    /// The organisation's own spending limit is reached.
    #[error("the organization's usage limit is reached: raise it in the console, or wait until it ends")]
    UsageLimit,
    /// The organisation is disabled.
    #[error("the organization is disabled: ask the upstream's support")]
    Disabled,
    /// The key needs a workspace, or another one.
    #[error("the upstream key needs the id of a workspace that it may use: set the plan's workspace_id")]
    Workspace,
    /// A beta that the gateway asks for is not known.
    #[error(
        "the upstream does not know a beta that the gateway asks for: see whether the two are of one age"
    )]
    Beta,
}

/// What is shorter does not carry a message, and stands in any text by chance.
const SHORTEST_ECHO: usize = 4;

/// The upstream's messages, each as a whole: what stands in one by chance is no reason to hide it from a
/// tenant.
static MESSAGES: LazyLock<Option<RegexSet>> =
    LazyLock::new(|| RegexSet::new(PATTERNS.map(|(pattern, _)| pattern)).ok());

const PATTERNS: [(&str, OperatorFault); 7] = [
    (
        r"^Your credit balance is too low to access the (Anthropic|Claude) API\.?( Please go to Plans & Billing to upgrade or purchase credits\.)?$",
        OperatorFault::CreditBalance,
    ),
    (
        r"^You have reached your specified (workspace )?API usage limits\.?( You will regain access on [0-9]{4}-[0-9]{2}-[0-9]{2} at [0-9]{2}:[0-9]{2} UTC\.?)?$",
        OperatorFault::UsageLimit,
    ),
    (
        r"^This organization has been disabled\.?$",
        OperatorFault::Disabled,
    ),
    (
        r"^anthropic-workspace-id is required( when authenticating with an identity-linked API key; send the id of the workspace this request acts in\.?)?$",
        OperatorFault::Workspace,
    ),
    (
        r"^This API key is not scoped to a workspace, so this request must include the anthropic-workspace-id header with the ID of the workspace to use\.?$",
        OperatorFault::Workspace,
    ),
    (
        r"^anthropic-workspace-id header must be a valid workspace ID\.?$",
        OperatorFault::Workspace,
    ),
    (
        r"^Unexpected value\(s\) `[A-Za-z0-9._-]+`(, `[A-Za-z0-9._-]+`)* for the `anthropic-beta` header\.( Please consult our documentation at [a-z.]+ or try again without the header\.)?$",
        OperatorFault::Beta,
    ),
];

impl OperatorFault {
    /// The fault that a code names, if it is one.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        match code {
            "organization_on_hold" => Some(Self::OnHold),
            "claude_code_key_creator_not_member" => Some(Self::KeyCreatorLeft),
            "organization_not_enrolled_in_beta" => Some(Self::NotEnrolled),
            _ => None,
        }
    }

    /// The fault that a message tells of, if all of it does.
    pub(super) fn of_message(message: &str) -> Option<Self> {
        let matching = MESSAGES.as_ref()?.matches(message);
        let index = matching.iter().next()?;
        PATTERNS.get(index).map(|(_, fault)| *fault)
    }
}

/// All that a request told the upstream, to see whether a message of the upstream's repeats any of it.
///
/// ```
/// use envgate::contract::SentTexts;
///
/// let mut sent = SentTexts::default();
/// sent.add_body(br#"{"name": "build box", "metadata": {"a": "b"}}"#);
/// sent.add_header("files-api-2025-04-14, skills-2025-10-02");
/// assert!(sent.is_in("name: build box is taken"));
/// assert!(sent.is_in("unexpected value skills-2025-10-02"));
/// assert!(!sent.is_in("a bad request"));
/// ```
#[derive(Debug, Default)]
pub struct SentTexts(HashSet<String>);

impl SentTexts {
    /// Adds every name and every string of a JSON document, however deep; nothing of what is none. But for
    /// `scope`, whose values are fixed.
    pub fn add_body(&mut self, body: &[u8]) {
        let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
            return;
        };
        if let Some(members) = value.as_object_mut() {
            members.remove("scope");
        }
        self.add_value(&value);
    }

    /// Adds the value of a header, and each item where it is a list.
    pub fn add_header(&mut self, value: &str) {
        self.add(value.trim());
        value.split(',').for_each(|item| self.add(item.trim()));
    }

    /// Takes out what the gateway itself sends, whoever else does.
    pub fn remove(&mut self, own: &str) {
        self.0.remove(own);
    }

    /// Whether a text holds any of what was sent, but for what is too short to mean anything.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        self.0.iter().any(|sent| text.contains(sent.as_str()))
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Array(items) => items.iter().for_each(|item| self.add_value(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    self.add(name);
                    self.add_value(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn add(&mut self, text: &str) {
        if text.len() >= SHORTEST_ECHO {
            self.0.insert(text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
