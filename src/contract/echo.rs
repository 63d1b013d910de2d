//! What of a request may be repeated in an answer: short texts, with their control characters escaped.

use std::borrow::Cow;

/// The longest text, in characters, that an answer repeats.
const MAX_CHARACTERS: usize = 64;

/// A text as JSON writes it, in quotes; none where it is too long to repeat.
pub(crate) fn quoted(text: &str) -> Option<String> {
    is_short(text).then(|| serde_json::Value::from(text).to_string())
}

/// The name of a member, in quotes; described where it is too long to repeat.
pub(super) fn quoted_name(name: &str) -> String {
    quoted(name).unwrap_or_else(|| format!("a name of {} characters", name.chars().count()))
}

/// A text, cut where it is too long to repeat.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    if is_short(text) {
        return Cow::Borrowed(text);
    }
    text.chars().take(MAX_CHARACTERS).chain(['…']).collect()
}

/// Whether a text may be repeated at all.
pub(super) fn is_short(text: &str) -> bool {
    text.len() <= MAX_CHARACTERS || text.chars().nth(MAX_CHARACTERS).is_none()
}
