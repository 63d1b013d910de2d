//! Files that hold secrets and that others on this machine may read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::reader::Reader;
use super::secrets;
use super::tree::Raw;
use super::values;

/// The settings that name a file with a private key.
const KEYS: [&str; 3] = ["listen.tls.key", "admin.tls.key", "upstream.client_key"];
/// Those that name several.
const KEY_PAIRS: [&str; 2] = ["listen.tls.certificates", "admin.tls.certificates"];

/// The bit of a file's mode that lets everybody read it.
const OTHERS_READ: u32 = 0o004;

impl Reader<'_> {
    /// The files of secrets that everybody on this machine may read, each a sentence.
    pub(super) fn exposed_files(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (setting, written) in &self.entries.settings {
            let files: Vec<PathBuf> = match &written.raw {
                raw if KEYS.contains(&setting.as_str()) => values::path(raw).into_iter().collect(),
                Raw::List(pairs) if KEY_PAIRS.contains(&setting.as_str()) => {
                    pairs.iter().filter_map(|pair| key_of(&pair.raw)).collect()
                }
                Raw::Table(table) => secrets::file(table, self.environment).into_iter().collect(),
                _ => continue,
            };
            for file in files.iter().filter(|file| is_exposed(file)) {
                let file = file.display();
                told.push(format!(
                    "{setting}: everybody on this machine may read the secret in {file}; chmod o-r closes it"
                ));
            }
        }
        told
    }
}

fn key_of(pair: &Raw) -> Option<PathBuf> {
    match pair {
        Raw::Table(table) => values::path(table.get("key")?).ok(),
        _ => None,
    }
}

fn is_exposed(file: &Path) -> bool {
    // What is no file, such as a pipe of the shell, is gone once it was read.
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & OTHERS_READ != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;
    use crate::config::load::tests::settings;

    #[test]
    fn a_secret_that_others_may_read_is_warned_of_by_its_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "hunter2-hunter2-hunter2").unwrap();
        let place = directory.path().to_str().unwrap();
        for (source, environment) in [
            (format!("{{ file = {path:?} }}"), &[][..]),
            (
                "{ credential = \"token\" }".to_owned(),
                &[("CREDENTIALS_DIRECTORY", place)],
            ),
        ] {
            let advice = |mode| {
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
                settings(&format!("admin.token = {source}"), environment).advice()
            };
            assert_eq!(advice(0o640), Vec::<String>::new());
            let told = advice(0o644).join("\n");
            assert!(
                told.contains("admin.token: everybody") && told.contains(place) && !told.contains("hunter2"),
                "{told}"
            );
        }
    }
}
