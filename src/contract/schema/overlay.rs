//! Files that an operator lays over the documents of this release.

use json_patch::{PatchErrorKind, PatchOperation, patch_unsafe};
use serde::Deserialize;
use serde_json::Value;

use super::DOCUMENTS;
use super::fault::{SchemaFault, fault_in};
use super::sources::Document;
use crate::contract::{DocumentFault, DocumentFaultKind, parse_document};
use crate::text::nearest_name;

/// A file of a folder that is laid over the schemas of this release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaFile {
    /// Its path in the folder.
    pub path: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// What a file does to its document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Replace,
    Patch,
}

/// How many operations a patch may have.
const MOST_OPERATIONS: usize = 1000;
/// How many values a document may be made of; the largest that ships has some hundreds.
const MOST_VALUES: usize = 20_000;
/// How deep they may stand in each other.
const MOST_LEVELS: usize = 64;

/// Lays files over the documents. Tells what is wrong with each file; its document stays as it is then.
pub(super) fn lay(files: &[SchemaFile], documents: &mut [Document]) -> Vec<SchemaFault> {
    let mut faults = Vec::new();
    for file in files {
        if let Err(fault) = lay_one(file, files, documents) {
            faults.push(fault);
        }
    }
    faults
}

/// Whether a file of this path, as it is in the folder, stands for a document.
pub(super) fn check_file_name(path: &str) -> Result<(), SchemaFault> {
    find(path).map(drop).ok_or_else(|| {
        let names: Vec<_> = DOCUMENTS
            .into_iter()
            .flat_map(|(document, _)| [document.to_owned(), patch_name(document)])
            .collect();
        let hint = nearest_name(path, names.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        fault_in(path)(format!("there is no schema of this name{hint}"))
    })
}

/// `environment.json` → `environment.patch.json`
pub(super) fn patch_name(document: &str) -> String {
    format!(
        "{}.patch.json",
        document.strip_suffix(".json").unwrap_or(document)
    )
}

fn find(path: &str) -> Option<(&'static str, Effect)> {
    DOCUMENTS.into_iter().find_map(|(document, _)| {
        if document == path {
            return Some((document, Effect::Replace));
        }
        (patch_name(document) == path).then_some((document, Effect::Patch))
    })
}

fn lay_one(file: &SchemaFile, files: &[SchemaFile], documents: &mut [Document]) -> Result<(), SchemaFault> {
    check_file_name(&file.path)?;
    let fault = |problem: String| fault_in(&file.path)(problem);
    let Some((path, effect)) = find(&file.path) else {
        return Ok(());
    };
    let Some(document) = documents.iter_mut().find(|document| document.path == path) else {
        return Ok(());
    };
    let content = parse_document(&file.content).map_err(|found| fault(in_words(&file.content, &found)))?;
    if effect == Effect::Replace {
        measure(&content).map_err(fault)?;
        document.value = content;
        return Ok(());
    }
    if files.iter().any(|other| other.path == path) {
        return Err(fault(format!(
            "{path} is there too: one replaces the document, the other changes it"
        )));
    }
    let (pointer, patched) = apply(&document.value, &content);
    document.value = patched.map_err(|problem| SchemaFault {
        file: file.path.clone(),
        pointer,
        problem,
    })?;
    document.name = format!("{path} (with {})", file.path);
    Ok(())
}

/// The document after a patch, or what is wrong with the operation that the pointer leads to.
fn apply(document: &Value, patch: &Value) -> (String, Result<Value, String>) {
    let Value::Array(operations) = patch else {
        return (
            String::new(),
            Err("a patch is a list of operations (RFC 6902)".to_owned()),
        );
    };
    if operations.len() > MOST_OPERATIONS {
        let problem = format!("has more than {MOST_OPERATIONS} operations");
        return (String::new(), Err(problem));
    }
    let mut patched = document.clone();
    for (index, operation) in operations.iter().enumerate() {
        if let Err(problem) = apply_one(&mut patched, operation) {
            return (format!("/{index}"), Err(problem));
        }
    }
    (String::new(), Ok(patched))
}

/// Does one operation; where it fails the document is of no use any more.
pub(super) fn apply_one(document: &mut Value, operation: &Value) -> Result<(), String> {
    let operation = PatchOperation::deserialize(operation).map_err(|_| {
        "is no operation of RFC 6902: {\"op\": \"add\", \"path\": \"/…\", \"value\": …} and its like"
            .to_owned()
    })?;
    // One at a time: what is left behind by one that fails is dropped with the whole.
    patch_unsafe(document, &[operation]).map_err(|error| {
        match error.kind {
            PatchErrorKind::TestFailed => "the value there is another than the patch was made for",
            PatchErrorKind::InvalidFromPointer => "its \"from\" leads nowhere",
            PatchErrorKind::InvalidPointer => "its \"path\" leads nowhere",
            PatchErrorKind::CannotMoveInsideItself => "cannot move a value into itself",
            _ => "cannot be done",
        }
        .to_owned()
    })?;
    measure(document)
}

/// Whether a document is of a size that can be compiled in a moment.
fn measure(document: &Value) -> Result<(), String> {
    let mut open = vec![(document, 0)];
    let mut values = 0_usize;
    while let Some((value, level)) = open.pop() {
        values += 1;
        if values > MOST_VALUES {
            return Err(format!("makes a document of more than {MOST_VALUES} values"));
        }
        if level > MOST_LEVELS {
            return Err(format!("makes a document that is more than {MOST_LEVELS} deep"));
        }
        match value {
            Value::Array(elements) => open.extend(elements.iter().map(|element| (element, level + 1))),
            Value::Object(members) => open.extend(members.values().map(|member| (member, level + 1))),
            _ => {}
        }
    }
    Ok(())
}

fn in_words(content: &[u8], fault: &DocumentFault) -> String {
    if content.trim_ascii().is_empty() {
        return "is empty".to_owned();
    }
    let DocumentFault {
        kind,
        message,
        line,
        column,
        ..
    } = fault;
    let what = match kind {
        DocumentFaultKind::InvalidUtf8 => "is not UTF-8 from here on",
        DocumentFaultKind::TrailingBytes => "goes on after the end of its JSON document",
        DocumentFaultKind::InvalidJson => "is not JSON",
        DocumentFaultKind::DuplicateKey | DocumentFaultKind::NestingTooDeep => message,
    };
    format!("{what} (line {line}, column {column})")
}

#[cfg(test)]
mod tests;
