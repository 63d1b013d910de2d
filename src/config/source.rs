//! Where settings come from: a file or the compiled-in text, and the environment of the process.

use std::collections::BTreeMap;

use zeroize::Zeroize;

/// The settings that hold where no file is named.
pub(super) const COMPILED_IN: &str = include_str!("../../config/envgate.toml");
const COMPILED_IN_NAME: &str = "<compiled-in>";

/// Where settings are read from.
#[derive(Clone)]
pub struct Source {
    /// What the text is called in errors: a path, or `<compiled-in>`.
    pub name: String,
    /// TOML.
    pub text: String,
    /// The environment: `ENVGATE_…` variables go before the text, others may be named by secrets.
    pub environment: BTreeMap<String, String>,
}

impl Source {
    /// A text under a name, with an environment.
    pub fn new(
        name: impl Into<String>,
        text: impl Into<String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
            environment: environment.into_iter().collect(),
        }
    }

    /// The text that is in the binary, with an environment.
    pub fn compiled_in(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::new(COMPILED_IN_NAME, COMPILED_IN, environment)
    }
}

/// The environment has secrets, and a file may have one where it should not.
impl Drop for Source {
    fn drop(&mut self) {
        self.text.zeroize();
        self.environment.values_mut().for_each(Zeroize::zeroize);
    }
}
