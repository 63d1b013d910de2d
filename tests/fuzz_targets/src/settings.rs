//! Settings: whatever is written, they are read, or every fault is told; never a value.

use envgate::config::{Source, load};

/// The file, and after a NUL a variable that goes before it.
pub(super) fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // What names a file would be read: there are files that have no end.
    if text.replace("_file", "").contains("file")
        || text.contains("\\u")
        || text.contains("\\U")
        || text.contains("\\x")
    {
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
