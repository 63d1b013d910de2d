//! Settings of this process: its file and its environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::admin_endpoint::{AdminEndpoint, load_admin_endpoint};
use super::errors::{ConfigErrors, Problem, SourceLocation};
use super::load::load;
use super::partial::{PartialSettings, load_partially};
use super::secrets;
use super::settings::Settings;
use super::source::Source;
use super::tree::{Raw, position};
use crate::text::Secret;

/// Reads settings from the file, or from the compiled-in text where there is none, and from the environment
/// of the process.
///
/// # Errors
/// Everything that is wrong with them, or that the file cannot be read.
pub fn from_process(path: Option<&Path>) -> Result<Settings, ConfigErrors> {
    load(&source(path)?)
}

/// Reads of the same settings where the admin address is, and nothing else.
///
/// # Errors
/// Those of [`load_admin_endpoint`], or that the file cannot be read.
pub fn admin_endpoint_from_process(path: Option<&Path>) -> Result<AdminEndpoint, ConfigErrors> {
    load_admin_endpoint(&source(path)?)
}

/// Reads of the same settings as much as can be had.
#[must_use]
pub fn partial_from_process(path: Option<&Path>) -> PartialSettings {
    match source(path) {
        Ok(source) => load_partially(&source),
        Err(errors) => PartialSettings {
            errors,
            ..PartialSettings::default()
        },
    }
}

fn source(path: Option<&Path>) -> Result<Source, ConfigErrors> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    Ok(match path {
        Some(path) => Source::new(path.display().to_string(), read_file(path)?, environment),
        None => Source::compiled_in(environment),
    })
}

/// Reads one credential from the environment of the process, for a command that needs no other setting.
///
/// # Errors
/// That the variable is not set, or has a value that no header can carry.
pub fn credential_from_process(variable: &str) -> Result<Secret, ConfigErrors> {
    let value = std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned());
    let credential = match value {
        Some(value) => secrets::credential(&Raw::Text(value), Some(variable.to_owned()), &BTreeMap::new()),
        None => Err(Problem::SecretVariableMissing(variable.to_owned())),
    };
    credential.map_err(|problem| {
        let mut errors = ConfigErrors::default();
        errors.add(&SourceLocation::Variable(variable.to_owned()), "", problem);
        errors
    })
}

fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    let name = path.display().to_string();
    let mut errors = ConfigErrors::default();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            errors.add(
                &SourceLocation::File(name),
                "",
                Problem::Unreadable(error.to_string()),
            );
            return Err(errors);
        }
    };
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let (line, column) = position(&String::from_utf8_lossy(error.as_bytes()), good);
        errors.add(
            &SourceLocation::Text {
                file: name,
                line,
                column,
            },
            "",
            Problem::NotUtf8,
        );
        errors
    })
}
