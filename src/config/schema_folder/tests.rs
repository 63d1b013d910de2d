use std::os::unix::fs::symlink;
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;
use crate::config::{ConfigErrors, Settings, Source, load};

const PATCH: &str =
    r#"[{"op": "add", "path": "/$defs/networking/properties/type/enum/-", "value": "peered"}]"#;

fn settings(folder: &Path) -> Result<Settings, ConfigErrors> {
    let text = format!("[contract]\nschemas = {folder:?}\n");
    load(&Source::new("envgate.toml", text, []))
}

fn files(settings: &Settings) -> Vec<&str> {
    let folder = settings.contract.schema_folder.as_ref().unwrap();
    folder.files.iter().map(|file| file.path.as_str()).collect()
}

#[track_caller]
fn faults(folder: &Path) -> Vec<String> {
    let faults = settings(folder).unwrap_err();
    let fault = |fault: &crate::config::ConfigError| {
        let fault = fault.to_string();
        let rest = fault.strip_prefix("envgate.toml:2:11: contract.schemas: ");
        rest.expect(&fault).to_owned()
    };
    faults.iter().map(fault).collect()
}

#[test]
fn a_folder_is_laid_over_and_another_content_is_a_change_that_needs_no_restart() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    let empty = settings(folder).unwrap();
    assert!(empty.contract.schemas.is_built_in());

    fs::write(folder.join("environment.patch.json"), PATCH).unwrap();
    fs::create_dir(folder.join("sandbase")).unwrap();
    fs::write(folder.join("sandbase/update.patch.json"), "[]").unwrap();
    fs::write(folder.join(".gitignore"), "*").unwrap();
    let laid = settings(folder).unwrap();
    assert!(!laid.contract.schemas.is_built_in());
    assert_eq!(
        files(&laid),
        ["environment.patch.json", "sandbase/update.patch.json"]
    );
    assert!(Arc::ptr_eq(
        &laid.contract.schemas,
        &laid.plans["default"].schemas
    ));

    let changes = empty.changes_to(&laid);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(
        (
            changes[0].setting.as_str(),
            changes[0].needs_restart,
            changes[0].is_secret
        ),
        ("contract.schemas", false, false)
    );
    assert_eq!(
        laid.changes_to(&settings(folder).unwrap()),
        [],
        "the same is no change"
    );
}

#[test]
fn whatever_is_wrong_with_a_folder_is_told_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let (folder, outside) = (
        directory.path().join("schemas"),
        directory.path().join("outside.json"),
    );
    assert_eq!(
        faults(&folder),
        ["cannot be read: No such file or directory (os error 2)"]
    );
    fs::write(&outside, "{}").unwrap();
    assert_eq!(
        faults(&outside),
        ["cannot be read: Not a directory (os error 20)"]
    );
    assert_eq!(
        faults(Path::new("https://example.com/schemas")),
        ["expected the path of a folder on this machine: schemas are never fetched"]
    );

    fs::create_dir_all(folder.join("sandbase/deeper")).unwrap();
    let at = |name: &str| folder.join(name);
    symlink(&outside, at("environment.json")).unwrap();
    symlink("nowhere", at("sandbase/create.json")).unwrap();
    symlink("/etc", at("etc")).unwrap();
    fs::write(at("enviroment.patch.json"), "[]").unwrap();
    fs::write(at("readme.md"), "").unwrap();
    fs::write(at("anthropic"), "").unwrap();
    fs::write(at("sandbase/update.json"), vec![b' '; 256 * 1024 + 1]).unwrap();
    fs::write(at("sandbase/update.patch.json"), "[").unwrap();
    mknodat(
        CWD,
        at("sandbase/create.patch.json"),
        FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    let mut told = faults(&folder);
    told.sort();
    assert_eq!(
        told,
        [
            "anthropic: there is no schema of this name",
            "enviroment.patch.json: there is no schema of this name; did you mean \"environment.patch.json\"?",
            "environment.json: is a link that leads out of the folder",
            "etc: is a link that leads out of the folder",
            "readme.md: there is no schema of this name",
            "sandbase/create.json: cannot be read: No such file or directory (os error 2)",
            "sandbase/create.patch.json: is no file",
            "sandbase/deeper: no schema is in such a folder",
            "sandbase/update.json: is larger than 256 KiB",
            "sandbase/update.patch.json: is not JSON (line 1, column 2)",
        ]
    );
}

#[test]
fn links_within_the_folder_are_followed_as_kubernetes_makes_them() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    let version = folder.join("..2026_11_26");
    fs::create_dir_all(version.join("sandbase")).unwrap();
    fs::write(version.join("environment.patch.json"), PATCH).unwrap();
    fs::write(version.join("sandbase/update.patch.json"), "[]").unwrap();
    symlink("..2026_11_26", folder.join("..data")).unwrap();
    symlink(
        "..data/environment.patch.json",
        folder.join("environment.patch.json"),
    )
    .unwrap();
    symlink("..data/sandbase", folder.join("sandbase")).unwrap();
    let settings = settings(folder).unwrap();
    assert_eq!(
        files(&settings),
        ["environment.patch.json", "sandbase/update.patch.json"]
    );
    symlink(".", folder.join("anthropic")).unwrap();
    assert!(!faults(folder).is_empty(), "a circle ends");
}

#[test]
fn a_folder_has_as_many_entries_as_can_be_meant() {
    let directory = tempfile::tempdir().unwrap();
    for index in 0..=MOST_ENTRIES {
        fs::write(directory.path().join(format!(".{index}")), "").unwrap();
    }
    assert_eq!(faults(directory.path()), ["the folder has more than 200 entries"]);
}
