//! What a document may be made of: the keywords that can be explained to whoever breaks them, and references that
//! stay among the documents. Everything that is wrong is told, with its place.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::fault::SchemaFault;
use super::shape::{is_conditional, is_kind, is_pattern, is_rule};
use super::sources::Document;
use crate::contract::echo::quoted_name;
use crate::text::{JsonPointer, nearest_name};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The keywords that a schema of ours may have.
const KEYWORDS: [&str; 15] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "description",
    "enum",
    "items",
    "maxLength",
    "minLength",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
    "x-hints",
    "x-private",
];

/// Those that may stand beside a reference, whose target says all else.
const BESIDE_REFERENCE: [&str; 6] = ["$defs", "$id", "$ref", "$schema", "description", "title"];

/// All that is wrong with documents; where they lead is looked at only if `all_are_there`.
pub(super) fn find_faults(documents: &[Document], all_are_there: bool) -> Vec<SchemaFault> {
    let mut lint = Lint {
        faults: Vec::new(),
        document: "",
        id: String::new(),
        schemas: HashSet::new(),
        references: Vec::new(),
    };
    for document in documents {
        match document.id() {
            Ok(id) => lint.id = id.into_string(),
            Err(fault) => lint.faults.push(fault),
        }
        lint.document = &document.name;
        lint.schema(&JsonPointer::default(), &document.value, true);
    }
    if all_are_there {
        lint.follow_references();
    }
    lint.faults
}

struct Lint<'a> {
    faults: Vec<SchemaFault>,
    /// What faults call the document that is looked at.
    document: &'a str,
    id: String,
    /// Where schemas stand, with the `$id` of their document.
    schemas: HashSet<(String, String)>,
    references: Vec<Reference<'a>>,
}

struct Reference<'a> {
    document: &'a str,
    base: String,
    pointer: String,
    target: &'a str,
}

impl<'a> Lint<'a> {
    fn schema(&mut self, pointer: &JsonPointer, schema: &'a Value, is_root: bool) {
        self.schemas.insert((self.id.clone(), pointer.to_string()));
        let members = match schema {
            Value::Object(members) => members,
            Value::Bool(true) if !is_root => return,
            _ => return self.add(pointer, "a schema is an object, or true where anything goes"),
        };
        if is_root {
            let id = self.id.clone();
            self.expect(
                pointer,
                members.get("$id").and_then(Value::as_str) == Some(&id),
                &format!("its $id has to be {id}"),
            );
        }
        let is_reference = members.contains_key("$ref");
        for (keyword, value) in members {
            let at = pointer.clone().with_name(keyword);
            if is_reference && !BESIDE_REFERENCE.contains(&keyword.as_str()) {
                self.add(
                    &at,
                    "stands beside $ref, where only title and description can: it would hold and not be explained",
                );
                continue;
            }
            self.keyword(&at, keyword, value, is_root);
        }
    }

    fn keyword(&mut self, at: &JsonPointer, keyword: &str, value: &'a Value, is_root: bool) {
        let is_text = value.is_string();
        match keyword {
            "$schema" if is_root => {
                self.expect(at, value.as_str() == Some(DRAFT), &format!("has to be {DRAFT}"));
            }
            // Told with the whole document.
            "$id" if is_root => {}
            "$defs" if is_root => self.schemas_in(at, value),
            "$ref" => self.reference(at, value),
            "title" | "description" => self.expect(at, is_text, "has to be a string"),
            "type" => {
                let is_known = match value {
                    Value::Array(kinds) => !kinds.is_empty() && kinds.iter().all(is_kind),
                    kind => is_kind(kind),
                };
                self.expect(
                    at,
                    is_known,
                    "has to be the name of a type of JSON, or a list of them",
                );
            }
            "enum" => {
                let has_values = value.as_array().is_some_and(|values| !values.is_empty());
                self.expect(at, has_values, "has to be a list of values");
            }
            "minLength" | "maxLength" => self.expect(at, value.is_u64(), "has to be a whole number"),
            "pattern" => self.expect(
                at,
                value.as_str().is_some_and(is_pattern),
                "has to be a regular expression that can be matched in linear time: no look-around, no \
                 back-reference, and not too large",
            ),
            "items" => self.schema(at, value, false),
            "properties" => self.schemas_in(at, value),
            "additionalProperties" if value.is_boolean() => {}
            "additionalProperties" => self.schema(at, value, false),
            "required" => {
                let names = value.as_array();
                let is_list = names.is_some_and(|names| names.iter().all(Value::is_string));
                self.expect(at, is_list, "has to be a list of names");
            }
            "allOf" => self.conditionals(at, value),
            "x-hints" => {
                let members = value.as_object().map(Map::values);
                let is_map = members.is_some_and(|mut hints| hints.all(Value::is_string));
                self.expect(at, is_map, "has to be a map of names and hints");
            }
            "x-private" => self.expect(at, value.is_boolean(), "has to be true or false"),
            "x-rule" => self.expect(at, is_rule(value), "has to be \"host_format\""),
            other => self.add(at, &no_keyword(other)),
        }
    }

    fn schemas_in(&mut self, at: &JsonPointer, value: &'a Value) {
        let Value::Object(members) = value else {
            return self.add(at, "has to be a map of names and schemas");
        };
        for (name, schema) in members {
            self.schema(&at.clone().with_name(name), schema, false);
        }
    }

    fn conditionals(&mut self, at: &JsonPointer, value: &'a Value) {
        let Value::Array(cases) = value else {
            return self.add(at, "has to be a list");
        };
        for (index, case) in cases.iter().enumerate() {
            let at = at.clone().with_index(index);
            self.expect(
                &at,
                is_conditional(case),
                "has to be {\"if\": {\"properties\": {NAME: {\"enum\": [VALUE]}}, \"required\": [NAME]}, \"then\": …}, \
                 with one name and one value",
            );
            if let Some(then) = case.get("then") {
                self.schema(&at.with_name("then"), then, false);
            }
        }
    }

    fn reference(&mut self, at: &JsonPointer, value: &'a Value) {
        match value.as_str() {
            Some(target) if is_local(target) => self.references.push(Reference {
                document: self.document,
                base: self.id.clone(),
                pointer: at.to_string(),
                target,
            }),
            _ => self.add(at, LEAVES),
        }
    }

    fn follow_references(&mut self) {
        for reference in std::mem::take(&mut self.references) {
            let Some((document, pointer)) = reference.resolve() else {
                self.add_to(reference.document, reference.pointer, LEAVES);
                continue;
            };
            let is_document = self.schemas.contains(&(document.clone(), String::new()));
            let is_schema = self.schemas.contains(&(document, pointer));
            match (is_document, is_schema) {
                (true, true) => {}
                (true, false) => self.add_to(
                    reference.document,
                    reference.pointer,
                    "leads nowhere: there is no schema in the document that it names",
                ),
                (false, _) => self.add_to(reference.document, reference.pointer, LEAVES),
            }
        }
    }

    fn expect(&mut self, at: &JsonPointer, is_right: bool, problem: &str) {
        if !is_right {
            self.add(at, problem);
        }
    }

    fn add(&mut self, at: &JsonPointer, problem: &str) {
        self.add_to(self.document, at.to_string(), problem);
    }

    fn add_to(&mut self, document: &str, pointer: String, problem: &str) {
        self.faults.push(SchemaFault {
            file: document.to_owned(),
            pointer,
            problem: problem.to_owned(),
        });
    }
}

const LEAVES: &str = "leads out of the schemas: only \"#/…\" and relative paths of documents that there are, such as \
                      \"../environment.json#/$defs/name\", are followed";

impl Reference<'_> {
    /// The `$id` of the document that it leads to, and the pointer there.
    fn resolve(&self) -> Option<(String, String)> {
        let base = jsonschema::uri::from_str(&self.base).ok()?;
        let target = jsonschema::uri::resolve_against(&base.borrow(), self.target).ok()?;
        let pointer = target.fragment().map_or("", |fragment| fragment.as_str());
        let pointer = pointer.to_owned();
        Some((target.strip_fragment().as_str().to_owned(), pointer))
    }
}

/// Whether a reference is a path without a scheme, a host or a root.
fn is_local(reference: &str) -> bool {
    let path = reference.split('#').next().unwrap_or_default();
    !path.starts_with('/') && !path.contains([':', '\\', '?', '%'])
}

fn no_keyword(keyword: &str) -> String {
    let reason = match keyword {
        "oneOf" | "anyOf" | "not" | "if" => {
            "tell alternatives apart by an enum of a member, and allOf with if and then for each"
        }
        "const" => "write an enum of one value",
        "$id" | "$schema" | "$defs" => "it stands at the top of a document alone",
        "$dynamicRef" | "$dynamicAnchor" | "$anchor" | "$recursiveRef" => "write a $ref with a pointer",
        _ => {
            let name = quoted_name(keyword);
            return match nearest_name(keyword, KEYWORDS) {
                Some(near) => format!("{name} is no keyword that can be explained; did you mean \"{near}\"?"),
                None => format!("{name} is no keyword that can be explained to whoever breaks it"),
            };
        }
    };
    format!("this keyword cannot be explained to whoever breaks it: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_has_no_fault() {
        assert_eq!(find_faults(&Document::built_in().unwrap(), true), []);
    }
}
