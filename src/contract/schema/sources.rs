//! The documents that schemas are compiled from.

use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Registry, Resource, Uri};
use serde_json::{Value, json};

use super::fault::{SchemaFault, fault_in};
use super::shape::{Documents, Shape};
use super::{DOCUMENTS, Schema};

/// What the `$id` of every document begins with; its path in `schemas/` follows. Nobody has this host.
const BASE: &str = "https://envgate.invalid/schemas/";

/// A document before it is compiled.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// Its path in `schemas/`.
    pub(super) path: &'static str,
    /// What faults call it: its path, or the file that it comes from or was changed by.
    pub(super) name: String,
    pub(super) value: Value,
}

/// The documents, read but not compiled.
pub(super) struct Sources {
    registry: Registry<'static>,
    documents: Documents,
    names: Vec<(&'static str, String)>,
}

impl Document {
    /// Those that this release ships.
    pub(super) fn built_in() -> Result<Vec<Self>, SchemaFault> {
        let document = |(path, text): (&'static str, &str)| {
            Ok(Self {
                path,
                name: path.to_owned(),
                value: serde_json::from_str(text).map_err(fault_in(path))?,
            })
        };
        DOCUMENTS.into_iter().map(document).collect()
    }

    /// The `$id` that it has to have.
    pub(super) fn id(&self) -> Result<Uri<String>, SchemaFault> {
        id_of(self.path)
    }
}

impl Sources {
    /// Takes documents as they are, once each keeps the rules of JSON Schema itself and says who it is.
    pub(super) fn new(documents: Vec<Document>) -> Result<Self, SchemaFault> {
        let mut registry = Registry::new().draft(Draft::Draft202012);
        let mut identified = Vec::new();
        let mut names = Vec::new();
        for Document { path, name, value } in documents {
            jsonschema::meta::validate(&value).map_err(fault_in(&name))?;
            let id = id_of(path)?;
            if value.get("$id").and_then(Value::as_str) != Some(id.as_str()) {
                return Err(fault_in(&name)(format!("its $id must be {id}")));
            }
            registry = registry
                .add(&id, Resource::from_contents(value.clone()))
                .map_err(fault_in(&name))?;
            identified.push((id, value));
            names.push((path, name));
        }
        let registry = registry.prepare().map_err(fault_in("*"))?;
        Ok(Self {
            registry,
            documents: Documents::new(identified),
            names,
        })
    }

    /// The schema of a body.
    pub(super) fn schema(&self, path: &'static str) -> Result<Schema, SchemaFault> {
        // First, because it knows a bound.
        let shape = self.shape(path)?;
        let judge = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&self.registry)
            .with_pattern_options(PatternOptions::regex())
            .build(&json!({ "$ref": id_of(path)?.as_str() }))
            .map_err(fault_in(self.name_of(path)))?;
        Ok(Schema { judge, shape })
    }

    /// A document taken apart.
    pub(super) fn shape(&self, path: &'static str) -> Result<Arc<Shape>, SchemaFault> {
        let id = id_of(path)?;
        self.documents.shape(&id).map_err(fault_in(self.name_of(path)))
    }

    /// What faults call a document.
    pub(super) fn name_of(&self, path: &'static str) -> &str {
        let named = self.names.iter().find(|(known, _)| *known == path);
        named.map_or(path, |(_, name)| name)
    }
}

pub(super) fn id_of(path: &str) -> Result<Uri<String>, SchemaFault> {
    jsonschema::uri::from_str(&format!("{BASE}{path}")).map_err(fault_in(path))
}
