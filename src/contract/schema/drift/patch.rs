//! What would have to be laid over the schemas for findings to be none any more: patches for somebody to review.

use serde_json::{Map, Value, json};

use super::finding::{Finding, FindingKind, ReplyDocument};
use crate::contract::schema::fault::SchemaFault;
use crate::contract::schema::overlay::{self, SchemaFile};
use crate::contract::schema::sources::Document;
use crate::text::unescape_pointer_token;

/// How deep references and cases are followed.
const MOST_LEVELS: usize = 32;

/// The files that findings ask for, and what no schema can say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaPatches {
    /// The files, by their paths in the folder; each holds what its like there holds, and what is new.
    pub files: Vec<SchemaFile>,
    /// Findings that no file of it ends, each in a sentence.
    pub left: Vec<String>,
}

impl SchemaPatches {
    /// Writes what has to be laid over the schemas, on top of the `files` that are laid over them now. The same findings
    /// give the same files, in whatever order they come.
    ///
    /// # Errors
    /// All that is wrong with `files`.
    pub fn of<'f>(
        findings: impl IntoIterator<Item = &'f Finding>,
        files: &[SchemaFile],
    ) -> Result<Self, Vec<SchemaFault>> {
        let mut documents = Document::built_in().map_err(|fault| vec![fault])?;
        let faults = overlay::lay(files, &mut documents);
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut findings: Vec<_> = findings.into_iter().collect();
        let order = |finding: &Finding| {
            let Finding {
                document,
                kind,
                pointer,
                detail,
                ..
            } = finding;
            (document.name(), pointer.clone(), kind.name(), detail.clone())
        };
        findings.sort_by_key(|finding| order(finding));
        let mut writing = Writing {
            documents,
            operations: Vec::new(),
        };
        let mut left = Vec::new();
        for finding in findings {
            if let Err(reason) = writing.settle(finding) {
                let said = format!("{} {}: {reason}", finding.operation.name(), finding.in_words());
                if !left.contains(&said) {
                    left.push(said);
                }
            }
        }
        Ok(Self {
            files: writing.files(files),
            left,
        })
    }
}

/// Where a schema stands: the number of its document, and the pointer there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Location {
    document: usize,
    pointer: String,
}

impl Location {
    fn at(&self, steps: &str) -> Self {
        Self {
            document: self.document,
            pointer: format!("{}{steps}", self.pointer),
        }
    }
}

/// Documents as they become, and by which operations.
struct Writing {
    documents: Vec<Document>,
    operations: Vec<(usize, Value)>,
}

impl Writing {
    /// Changes the documents so that a finding is none any more.
    fn settle(&mut self, finding: &Finding) -> Result<(), &'static str> {
        const NOT_SAID: &str = "no schema of replies can say that";
        const CUT: &str = "too much of it is hidden or cut";
        let path = match finding.document {
            ReplyDocument::Environment => "anthropic/environment.reply.json",
            ReplyDocument::List => "anthropic/list.reply.json",
            ReplyDocument::Deleted => "anthropic/deleted.reply.json",
            ReplyDocument::Error => "anthropic/error.reply.json",
            ReplyDocument::Request => {
                return Err("what the upstream takes instead is for somebody to find out");
            }
        };
        let root = self.documents.iter().position(|document| document.path == path);
        let root = Location {
            document: root.ok_or(NOT_SAID)?,
            pointer: String::new(),
        };
        let parent_and_name = || finding.pointer.rsplit_once('/');
        match finding.kind {
            FindingKind::UnknownField => {
                let (parent, name) = parent_and_name().ok_or(NOT_SAID)?;
                if name.is_empty() || name == "*" || name.contains(['…', '\\']) {
                    return Err(CUT);
                }
                let schema = schema_of(finding.example.as_deref());
                let closed = self.find(&root, parent)?.into_iter().filter(|place| {
                    self.value(place)
                        .and_then(|schema| schema.get("additionalProperties"))
                        == Some(&Value::Bool(false))
                });
                for place in closed.collect::<Vec<_>>() {
                    self.add_field(&place, name, &schema);
                }
            }
            FindingKind::MissingField => {
                let (parent, name) = parent_and_name().ok_or(NOT_SAID)?;
                let name = unescape_pointer_token(name);
                for place in self.find(&root, parent)? {
                    self.no_longer_require(&place, &name);
                }
            }
            FindingKind::WrongType => {
                let kind = finding.detail.as_deref().ok_or(CUT)?;
                for place in self.find(&root, &finding.pointer)? {
                    self.add_type(&place, kind);
                }
            }
            FindingKind::UnknownValue => {
                let value = finding.detail.as_deref().ok_or(CUT)?;
                let value: Value = serde_json::from_str(value).map_err(|_| CUT)?;
                if value.is_object() || value.is_array() {
                    return Err(CUT);
                }
                for place in self.find(&root, &finding.pointer)? {
                    self.add_option(&place, &value);
                }
            }
            FindingKind::BrokenRule => {
                let rule = finding.detail.as_deref().unwrap_or_default();
                if !["maxLength", "minLength", "pattern"].contains(&rule) {
                    return Err(NOT_SAID);
                }
                for place in self.find(&root, &finding.pointer)? {
                    self.remove(&place.at(&format!("/{rule}")));
                }
            }
            FindingKind::RefusedUpstream | FindingKind::Remainder => return Err(NOT_SAID),
        }
        Ok(())
    }

    /// All schemas that say something of the place of a reply that a pointer leads to.
    fn find(&self, root: &Location, pointer: &str) -> Result<Vec<Location>, &'static str> {
        let mut places = self.branches(root);
        for step in pointer.split('/').skip(1) {
            let mut next: Vec<Location> = Vec::new();
            for place in &places {
                let inside = match step {
                    "*" => ["/items", "/additionalProperties"]
                        .map(|step| place.at(step))
                        .to_vec(),
                    name => vec![place.at(&format!("/properties/{name}"))],
                };
                let schemas = inside
                    .iter()
                    .filter(|place| self.value(place).is_some_and(Value::is_object));
                for found in schemas.flat_map(|place| self.branches(place)) {
                    if !next.contains(&found) {
                        next.push(found);
                    }
                }
            }
            places = next;
        }
        match places.is_empty() {
            true => Err("the schemas do not have its place any more"),
            false => Ok(places),
        }
    }

    /// A schema, or what it refers to, and what it also is in one case or another.
    fn branches(&self, place: &Location) -> Vec<Location> {
        let mut found = Vec::new();
        self.add_branches(place, &mut found, 0);
        found
    }

    fn add_branches(&self, place: &Location, found: &mut Vec<Location>, level: usize) {
        if level > MOST_LEVELS || found.contains(place) {
            return;
        }
        let Some(schema) = self.value(place) else { return };
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            if let Some(target) = self.resolve(place, reference) {
                self.add_branches(&target, found, level + 1);
            }
            return;
        }
        found.push(place.clone());
        let cases = schema.get("allOf").and_then(Value::as_array).map_or(0, Vec::len);
        for case in 0..cases {
            self.add_branches(&place.at(&format!("/allOf/{case}/then")), found, level + 1);
        }
    }

    fn resolve(&self, place: &Location, reference: &str) -> Option<Location> {
        let base = self.documents.get(place.document)?.id().ok()?;
        let target = jsonschema::uri::resolve_against(&base.borrow(), reference).ok()?;
        let pointer = target
            .fragment()
            .map_or("", |fragment| fragment.as_str())
            .to_owned();
        let target = target.strip_fragment();
        let is_it = |document: &Document| document.id().is_ok_and(|id| id.as_str() == target.as_str());
        Some(Location {
            document: self.documents.iter().position(is_it)?,
            pointer,
        })
    }

    fn value(&self, place: &Location) -> Option<&Value> {
        self.documents.get(place.document)?.value.pointer(&place.pointer)
    }

    /// `name` is a step of a pointer already.
    fn add_field(&mut self, place: &Location, name: &str, schema: &Value) {
        if self.value(&place.at("/properties")).is_none() {
            self.apply(
                place.document,
                json!({"op": "add", "path": place.at("/properties").pointer, "value": {}}),
            );
        }
        let field = place.at(&format!("/properties/{name}"));
        if self.value(&field).is_none() {
            self.apply(
                place.document,
                json!({"op": "add", "path": field.pointer, "value": schema}),
            );
        }
    }

    fn no_longer_require(&mut self, place: &Location, name: &str) {
        let required = self.value(&place.at("/required")).and_then(Value::as_array);
        let index = required.and_then(|names| names.iter().position(|known| known == name));
        if let Some(index) = index {
            self.remove(&place.at(&format!("/required/{index}")));
        }
    }

    fn add_type(&mut self, place: &Location, kind: &str) {
        let at = place.at("/type");
        let Some(before) = self.value(&at).cloned() else {
            return;
        };
        let mut kinds = match &before {
            Value::Array(kinds) => kinds.clone(),
            one => vec![one.clone()],
        };
        if kinds.iter().any(|known| known == kind) {
            return;
        }
        kinds.push(kind.into());
        self.apply(
            at.document,
            json!({"op": "test", "path": at.pointer, "value": before}),
        );
        self.apply(
            at.document,
            json!({"op": "replace", "path": at.pointer, "value": kinds}),
        );
    }

    fn add_option(&mut self, place: &Location, value: &Value) {
        let at = place.at("/enum");
        let options = self.value(&at).and_then(Value::as_array);
        if options.is_some_and(|options| !options.contains(value)) {
            self.apply(
                at.document,
                json!({"op": "add", "path": at.at("/-").pointer, "value": value}),
            );
        }
    }

    /// Takes a value away, as long as it is the one that is there now.
    fn remove(&mut self, place: &Location) {
        let Some(before) = self.value(place).cloned() else {
            return;
        };
        self.apply(
            place.document,
            json!({"op": "test", "path": place.pointer, "value": before}),
        );
        self.apply(place.document, json!({"op": "remove", "path": place.pointer}));
    }

    fn apply(&mut self, document: usize, operation: Value) {
        let Some(changed) = self.documents.get_mut(document) else {
            return;
        };
        // The place has just been looked at.
        if overlay::apply_one(&mut changed.value, &operation).is_ok() {
            self.operations.push((document, operation));
        }
    }

    /// The files of the documents that have changed: a whole document where one is laid over, else a patch that begins
    /// with what is there.
    fn files(self, files: &[SchemaFile]) -> Vec<SchemaFile> {
        let Self {
            documents,
            operations,
        } = self;
        let changed = documents.iter().enumerate().filter_map(|(number, document)| {
            let new = operations.iter().filter(|(changed, _)| *changed == number);
            let new: Vec<_> = new.map(|(_, operation)| operation.clone()).collect();
            if new.is_empty() {
                return None;
            }
            if files.iter().any(|file| file.path == document.path) {
                return Some(file(document.path.to_owned(), &document.value));
            }
            let path = overlay::patch_name(document.path);
            let before = files.iter().find(|file| file.path == path);
            let before = before.and_then(|file| serde_json::from_slice::<Vec<Value>>(&file.content).ok());
            let operations: Vec<_> = before.into_iter().flatten().chain(new).collect();
            Some(file(path, &operations.into()))
        });
        changed.collect()
    }
}

/// As people read it, with a line for each operation of a patch.
fn file(path: String, content: &Value) -> SchemaFile {
    let text = match content {
        Value::Array(operations) => {
            let lines: Vec<_> = operations
                .iter()
                .map(|operation| format!("  {operation}"))
                .collect();
            format!("[\n{}\n]\n", lines.join(",\n"))
        }
        whole => format!("{whole:#}\n"),
    };
    SchemaFile {
        path,
        content: text.into_bytes(),
    }
}

/// What a field may be of which an example was seen, its values masked. What an object or a list has in it is left open,
/// and a null says nothing.
fn schema_of(example: Option<&str>) -> Value {
    let kind = match example.and_then(|example| example.bytes().next()) {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "boolean",
        Some(b'0'..=b'9' | b'-') => "number",
        _ => return Value::Bool(true),
    };
    Value::Object(Map::from_iter([("type".to_owned(), kind.into())]))
}

#[cfg(test)]
mod tests;
