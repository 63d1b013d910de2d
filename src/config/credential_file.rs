use std::collections::BTreeMap;
use std::path::PathBuf;

use super::errors::Problem;
use super::secrets;
use super::settings::Settings;
use super::tree::{Entries, Raw, WrittenValue};
use crate::text::Secret;

/// A file that has a credential for the upstream in it, and may have another one later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFile {
    /// The name of the credential; none for the upstream's own.
    pub name: Option<String>,
    /// Where the file is.
    pub path: PathBuf,
}

impl CredentialFile {
    /// What it holds now. Blocks.
    ///
    /// # Errors
    /// Where it cannot be read, is empty, or holds what no header can carry.
    pub fn read(&self) -> Result<Secret, Problem> {
        let path = Raw::String(self.path.display().to_string());
        let source = Raw::Table(BTreeMap::from([("file".to_owned(), path)]));
        secrets::credential(&source, None, &BTreeMap::new())
    }
}

impl Settings {
    /// The credential of this name, or the upstream's own.
    #[must_use]
    pub fn credential(&self, name: Option<&str>) -> Option<&Secret> {
        match name {
            None => Some(&self.upstream.service.as_ref()?.credential),
            Some(name) => Some(&self.credentials.get(name)?.key),
        }
    }

    /// Takes another value for the credential of this name, or for the upstream's own.
    pub fn set_credential(&mut self, name: Option<&str>, credential: Secret) {
        let path = name.map_or("upstream.credential".to_owned(), |name| {
            format!("credentials.{name}.key")
        });
        self.written.set_secret(&path, credential.reveal());
        match name {
            None => {
                if let Some(service) = &mut self.upstream.service {
                    service.credential = credential;
                }
            }
            Some(name) => {
                if let Some(known) = self.credentials.get_mut(name) {
                    known.key = credential;
                }
            }
        }
    }
}

/// The files of all credentials that are in files.
pub(super) fn credential_files(
    entries: &Entries,
    environment: &BTreeMap<String, String>,
) -> Vec<CredentialFile> {
    let file = |(path, written): (&String, &WrittenValue)| {
        let name = match path.as_str() {
            "upstream.credential" => None,
            path => Some(
                path.strip_prefix("credentials.")?
                    .strip_suffix(".key")?
                    .to_owned(),
            ),
        };
        let Raw::Table(source) = &written.raw else {
            return None;
        };
        let path = secrets::file(source, environment)?;
        Some(CredentialFile { name, path })
    };
    entries.settings.iter().filter_map(file).collect()
}
