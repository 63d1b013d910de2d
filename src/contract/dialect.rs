use http::StatusCode;
use serde_json::Value;

use super::environment_edit::{EditEnvironment, edit_for_sandbase};
use super::error::error_type_of;
use super::schema::{Bodies, Schemas};
use super::{BodyStrictness, Operation, Violations, Warnings};

/// The type that the upstream gives whatever has no better one.
const GENERIC: &str = "invalid_request_error";

/// A way in which the API is spoken: its schemas, its names for errors, its rules for replies.
#[derive(Debug)]
pub struct Dialect {
    /// The name in settings: `sandbase` or `anthropic`.
    pub name: &'static str,
    /// Pairs of the upstream's `error.type` and the dialect's name for it; any other passes unchanged.
    error_types: &'static [(&'static str, &'static str)],
    /// Its schemas among all.
    bodies: fn(&Schemas) -> &Bodies,
    /// What it changes in an environment that the upstream answers with.
    pub(super) edit_environment: Option<EditEnvironment>,
}

impl Dialect {
    /// The facade: parameters, replies and error names of the Bearer-compatible endpoint. The default.
    pub const SANDBASE: Self = Self {
        name: "sandbase",
        error_types: &[
            ("invalid_request_error", "invalid_request"),
            ("not_found_error", "not_found"),
            ("conflict_error", "conflict"),
        ],
        bodies: |schemas| &schemas.sandbase,
        edit_environment: Some(edit_for_sandbase),
    };

    /// The native API, replies untouched.
    pub const ANTHROPIC: Self = Self {
        name: "anthropic",
        error_types: &[],
        bodies: |schemas| &schemas.anthropic,
        edit_environment: None,
    };

    /// The dialect's name for an upstream `error.type` with a status. Where the type says no more than that
    /// the request was bad, and the status says more (a 409 comes with `invalid_request_error`), a dialect
    /// with names of its own goes by the status.
    #[must_use]
    pub fn error_type<'a>(&self, status: StatusCode, upstream_type: &'a str) -> &'a str {
        if self.error_types.is_empty() {
            return upstream_type;
        }
        let upstream_type = match upstream_type {
            GENERIC => error_type_of(status),
            specific => specific,
        };
        self.error_types
            .iter()
            .find(|(theirs, _)| *theirs == upstream_type)
            .map_or(upstream_type, |(_, ours)| ours)
    }

    /// Checks the body of a create or an update against the schema that this release ships for it; other
    /// operations have none.
    ///
    /// # Errors
    /// All [`Violations`] of rules that `strictness` does not relax.
    ///
    /// ```
    /// use envgate::contract::{Dialect, Operation, Strictness};
    ///
    /// let body = serde_json::json!({"config": {"type": "cloud", "pakages": {}}});
    /// let violations = Dialect::SANDBASE
    ///     .validate(Operation::Update, &body, Strictness::default())
    ///     .unwrap_err();
    /// assert_eq!(
    ///     violations.message(),
    ///     r#"config.pakages is not a known field; did you mean "packages"?"#
    /// );
    /// ```
    pub fn validate(
        &self,
        operation: Operation,
        body: &Value,
        strictness: impl Into<BodyStrictness>,
    ) -> Result<Warnings, Violations> {
        let schemas = Schemas::built_in().map_err(|_| Violations::unexplained())?;
        self.validate_by(&schemas, operation, body, strictness)
    }

    /// The same by schemas that may be others.
    ///
    /// # Errors
    /// All [`Violations`] of rules that `strictness` does not relax.
    pub fn validate_by(
        &self,
        schemas: &Schemas,
        operation: Operation,
        body: &Value,
        strictness: impl Into<BodyStrictness>,
    ) -> Result<Warnings, Violations> {
        let bodies = (self.bodies)(schemas);
        match operation {
            Operation::Create => bodies.create.check(body, strictness.into()),
            Operation::Update => bodies.update.check(body, strictness.into()),
            _ => Ok(Warnings::default()),
        }
    }

    /// Which place of a body a message of the upstream names, as a JSON pointer of names that its schema has, with `*`
    /// for an element of a list and a key of a map. Empty where it names none, and where the operation has no body.
    ///
    /// ```
    /// use envgate::contract::{Dialect, Operation, Schemas};
    ///
    /// let schemas = Schemas::built_in().unwrap();
    /// let message = "config.networking.allowed_hosts[0]: not a host name";
    /// let place = Dialect::SANDBASE.place_in_message(&schemas, Operation::Update, message);
    /// assert_eq!(place, "/config/networking/allowed_hosts/*");
    /// ```
    #[must_use]
    pub fn place_in_message(&self, schemas: &Schemas, operation: Operation, message: &str) -> String {
        let bodies = (self.bodies)(schemas);
        match operation {
            Operation::Create => bodies.create.place_in_message(message),
            Operation::Update => bodies.update.place_in_message(message),
            _ => String::new(),
        }
    }
}
