//! `envgate drift --patch`: what would have to be laid over the schemas, for somebody to review.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::output::{CommandError, print, print_progress, print_warning};
use crate::config::Contract;
use crate::contract::{Finding, SchemaFault, SchemaFile, SchemaPatches};

/// Writes the files that findings ask for into a folder, or prints them by their paths in it. What is laid over the
/// schemas already is part of them.
pub(super) fn write<'f>(
    findings: impl IntoIterator<Item = &'f Finding>,
    contract: &Contract,
    output: Option<&Path>,
) -> Result<(), CommandError> {
    let folder = contract.schema_folder.as_ref();
    let laid_over = folder.map_or(&[][..], |folder| &folder.files);
    let patches =
        SchemaPatches::of(findings, laid_over).map_err(|faults| CommandError::File(join_lines(&faults)))?;
    for left in &patches.left {
        print_warning(left);
    }
    let Some(output) = output else {
        return Ok(print(&shown(&patches.files))?);
    };
    let is_in_force = folder.is_some_and(|folder| is_same(&folder.path, output));
    for file in &patches.files {
        let path = output.join(&file.path);
        if path.exists() && !is_in_force {
            let said = format!("{}: is there, and is not laid over the schemas", path.display());
            return Err(CommandError::File(said));
        }
    }
    for file in &patches.files {
        let path = output.join(&file.path);
        put(&path, &file.content)
            .map_err(|error| CommandError::File(format!("{}: {error}", path.display())))?;
        print(&path.display().to_string())?;
    }
    if patches.files.is_empty() {
        print_progress("there is nothing to lay over the schemas");
    }
    Ok(())
}

/// One JSON object with each file under its path.
fn shown(files: &[SchemaFile]) -> String {
    let file = |file: &SchemaFile| {
        let content = serde_json::from_slice(&file.content).unwrap_or(Value::Null);
        (file.path.clone(), content)
    };
    format!(
        "{:#}",
        Value::Object(files.iter().map(file).collect::<Map<_, _>>())
    )
}

fn join_lines(faults: &[SchemaFault]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whole or not at all: a gateway may be about to read it. What begins with a dot is no schema.
fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.new"));
    let mut file = fs::File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}
