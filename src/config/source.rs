//! Where settings come from: a file or the compiled-in text, and the environment of the process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::faults::{Faults, Place, Problem};
use super::settings::{Secret, Settings};
use super::tree::{Raw, position};
use super::{load, secrets};

/// The settings that hold where no file is named.
pub(super) const COMPILED_IN: &str = include_str!("../../config/envgate.toml");
const COMPILED_IN_NAME: &str = "<compiled-in>";

/// Where settings are read from.
#[derive(Clone)]
pub struct Source {
    /// What the text is called in faults: a path, or `<compiled-in>`.
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

/// Reads settings from the file, or from the compiled-in text where there is none, and from the environment
/// of the process.
///
/// # Errors
/// Everything that is wrong with them, or that the file cannot be read.
pub fn from_process(path: Option<&Path>) -> Result<Settings, Faults> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    match path {
        Some(path) => load(&Source::new(
            path.display().to_string(),
            read_file(path)?,
            environment,
        )),
        None => load(&Source::compiled_in(environment)),
    }
}

/// Reads one credential from the environment of the process, for a command that needs no other setting.
///
/// # Errors
/// That the variable is not set, or has a value that no header can carry.
pub fn credential_from_process(variable: &str) -> Result<Secret, Faults> {
    let value = std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned());
    let credential = match value {
        Some(value) => secrets::credential(&Raw::Text(value), Some(variable.to_owned()), &BTreeMap::new()),
        None => Err(Problem::SecretVariableMissing(variable.to_owned())),
    };
    credential.map_err(|problem| {
        let mut faults = Faults::default();
        faults.add(&Place::Variable(variable.to_owned()), "", problem);
        faults
    })
}

fn read_file(path: &Path) -> Result<String, Faults> {
    let name = path.display().to_string();
    let mut faults = Faults::default();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            faults.add(&Place::File(name), "", Problem::Unreadable(error.to_string()));
            return Err(faults);
        }
    };
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let (line, column) = position(&String::from_utf8_lossy(error.as_bytes()), good);
        faults.add(
            &Place::Text {
                file: name,
                line,
                column,
            },
            "",
            Problem::NotUtf8,
        );
        faults
    })
}
