use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The rules that a body broke and an operator has relaxed: the first few told, the rest counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    told: Vec<Warning>,
    total: usize,
}

/// One place where a body broke a rule that an operator has relaxed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// The schema keyword that was broken.
    pub keyword: &'static str,
}

/// What stands unencoded in a header: what a URI leaves alone, and the slash.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b'_')
    .remove(b'~');

impl Warnings {
    /// How many warnings are told.
    pub const TOLD: usize = 20;
    /// How many bytes the pointers of a header take at most.
    const HEADER_BYTES: usize = 2048;

    pub(super) fn add(&mut self, keyword: &'static str, pointer: impl FnOnce() -> String) {
        self.total += 1;
        if self.told.len() < Self::TOLD {
            let pointer = pointer();
            self.told.push(Warning { pointer, keyword });
        }
    }

    /// Whether the body kept all rules, as nearly every body does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The first warnings, at most [`Warnings::TOLD`].
    #[must_use]
    pub fn told(&self) -> &[Warning] {
        &self.told
    }

    /// How many there are in all.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// The value of the header `envgate-warning`: percent-encoded pointers, parted by commas, and as the last
    /// part how many more there are, such as `+3`. None where there is no warning.
    #[must_use]
    pub fn header_value(&self) -> Option<HeaderValue> {
        if self.is_empty() {
            return None;
        }
        let mut value = String::new();
        let mut shown = 0;
        for warning in &self.told {
            let pointer = utf8_percent_encode(&warning.pointer, ENCODED).to_string();
            if value.len() + pointer.len() > Self::HEADER_BYTES {
                break;
            }
            if shown > 0 {
                value.push_str(", ");
            }
            value.push_str(&pointer);
            shown += 1;
        }
        if self.total > shown {
            let parting = if shown > 0 { ", " } else { "" };
            value.push_str(&format!("{parting}+{}", self.total - shown));
        }
        HeaderValue::from_str(&value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_encoded_for_a_header() {
        let mut warnings = Warnings::default();
        assert_eq!(warnings.header_value(), None);
        warnings.add("additionalProperties", || "/config/größe, x".to_owned());
        warnings.add("pattern", || "/config/networking/allowed_hosts/0".to_owned());
        assert_eq!(
            warnings.header_value().unwrap(),
            "/config/gr%C3%B6%C3%9Fe%2C%20x, /config/networking/allowed_hosts/0"
        );
    }

    #[test]
    fn a_header_is_bounded_and_counts_the_rest() {
        let mut warnings = Warnings::default();
        for _ in 0..30 {
            warnings.add("additionalProperties", || format!("/{}", "é".repeat(64)));
        }
        let value = warnings.header_value().unwrap();
        let value = value.to_str().unwrap();
        assert!(value.len() < 2100, "{} bytes", value.len());
        assert!(value.ends_with(", +25"), "{value}");
    }
}
