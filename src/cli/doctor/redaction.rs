use crate::config::Secret;

/// What is shorter is no secret, and would be found in harmless texts.
const SHORTEST: usize = 4;
const MASK: &str = "(secret)";

/// Sees to it that no secret of the settings is told, whoever quotes it: a server, a library, a file.
#[derive(Default)]
pub(super) struct Redaction(Vec<Secret>);

impl Redaction {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let mut secrets: Vec<Secret> = secrets
            .iter()
            .filter(|secret| secret.reveal().len() >= SHORTEST)
            .cloned()
            .collect();
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.reveal().len()));
        Self(secrets)
    }

    pub(super) fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.0 {
            masked = masked.replace(secret.reveal(), MASK);
            // As JSON has it between its quotes.
            let quoted = serde_json::Value::from(secret.reveal()).to_string();
            masked = masked.replace(quoted.trim_matches('"'), MASK);
        }
        masked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_however_it_is_quoted() {
        let secrets = ["hunter2", "hunter2-long", "a\"b\\c", "x"].map(|text| Secret::new(text.to_owned()));
        let redaction = Redaction::new(&secrets);
        assert_eq!(
            redaction.mask("hunter2-long, hunter2, x, a\"b\\c, \"a\\\"b\\\\c\""),
            "(secret), (secret), x, (secret), \"(secret)\""
        );
    }
}
