//! Settings: whatever is written, they are read, or every fault is told; never a value.

use envgate::config::{Source, load};

const NAMING_FILES: [&str; 6] = ["file", "certificate", "client_ca", "\\u", "\\x", "tls"];

/// The file, and after a NUL a variable that goes before it.
pub(super) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // What names a file would be read: there are files that have no end. Escapes could name one too.
    let lower = text.to_lowercase();
    if NAMING_FILES.iter().any(|word| lower.contains(word)) {
        return;
    }
    let (file, variable) = text.split_once('\0').unwrap_or((&text, ""));
    let variable = variable
        .split_once('=')
        .map(|(name, value)| (format!("ENVGATE_{}", name.to_uppercase()), value.to_owned()));
    let secret = ("SECRET".to_owned(), "hunter2".to_owned());
    let environment = variable.into_iter().chain([secret]);
    match load(&Source::new("fuzz.toml", file, environment)) {
        Ok(settings) => {
            assert!(!format!("{settings:?}").contains("hunter2") || text.contains("hunter2"));
            let _ = settings.advice();
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors.iter() {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
