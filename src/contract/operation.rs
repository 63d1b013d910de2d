use http::Method;
use percent_encoding::percent_decode_str;

use super::ApiError;
use crate::environment::EnvironmentId;

/// What a tenant can ask of the environments service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /v1/environments`
    Create,
    /// `GET /v1/environments`
    List,
    /// `GET /v1/environments/{environment_id}`
    Retrieve,
    /// `POST /v1/environments/{environment_id}`
    Update,
    /// `DELETE /v1/environments/{environment_id}`
    Delete,
    /// `POST /v1/environments/{environment_id}/archive`
    Archive,
}

impl Operation {
    /// All operations, in the order of the contract.
    pub const ALL: [Self; 6] = [
        Self::Create,
        Self::List,
        Self::Retrieve,
        Self::Update,
        Self::Delete,
        Self::Archive,
    ];

    /// Their names, in the same order.
    pub const NAMES: [&'static str; 6] = [
        Self::Create.name(),
        Self::List.name(),
        Self::Retrieve.name(),
        Self::Update.name(),
        Self::Delete.name(),
        Self::Archive.name(),
    ];

    /// The operation of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// The name that logs, metrics and plans use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Retrieve => "retrieve",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Archive => "archive",
        }
    }

    /// Whether the operation changes anything upstream, so that it must not be sent twice.
    #[must_use]
    pub const fn is_write(self) -> bool {
        !matches!(self, Self::List | Self::Retrieve)
    }

    /// Whether a request body is part of the operation.
    #[must_use]
    pub const fn takes_body(self) -> bool {
        matches!(self, Self::Create | Self::Update)
    }

    /// The path, with a name in the place of what differs from request to request.
    ///
    /// ```
    /// use envgate::contract::Operation;
    ///
    /// assert_eq!(Operation::Update.path_template(), "/v1/environments/{environment_id}");
    /// ```
    #[must_use]
    pub const fn path_template(self) -> &'static str {
        match self {
            Self::Create | Self::List => COLLECTION,
            Self::Retrieve | Self::Update | Self::Delete => "/v1/environments/{environment_id}",
            Self::Archive => "/v1/environments/{environment_id}/archive",
        }
    }

    /// The HTTP method.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Create | Self::Update | Self::Archive => Method::POST,
            Self::List | Self::Retrieve => Method::GET,
            Self::Delete => Method::DELETE,
        }
    }
}

/// An operation, and the environment that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is asked.
    pub operation: Operation,
    /// Which environment; none for create and list.
    pub environment: Option<EnvironmentId>,
}

const COLLECTION: &str = "/v1/environments";

/// The paths that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'p> {
    /// `/v1/environments`
    Collection,
    /// `/v1/environments/{environment_id}`, with the id as it came.
    Environment(&'p str),
    /// `/v1/environments/{environment_id}/archive`
    Archive(&'p str),
}

impl<'p> Resource<'p> {
    /// Matches a path as it came, without a query.
    fn find(path: &'p str) -> Result<Self, ApiError> {
        let rest = path.strip_prefix(COLLECTION).ok_or(ApiError::UnknownPath)?;
        if rest.is_empty() {
            return Ok(Self::Collection);
        }
        let rest = rest.strip_prefix('/').ok_or(ApiError::UnknownPath)?;
        match rest.split_once('/') {
            None => Ok(Self::Environment(rest)),
            Some((id, "archive")) => Ok(Self::Archive(id)),
            Some(_) => Err(ApiError::UnknownPath),
        }
    }

    /// HEAD is GET without the body of its answer, and otherwise the same in every step.
    fn operation(self, method: &Method) -> Option<Operation> {
        match (self, method) {
            (Self::Collection, &Method::POST) => Some(Operation::Create),
            (Self::Collection, &Method::GET | &Method::HEAD) => Some(Operation::List),
            (Self::Environment(_), &Method::GET | &Method::HEAD) => Some(Operation::Retrieve),
            (Self::Environment(_), &Method::POST) => Some(Operation::Update),
            (Self::Environment(_), &Method::DELETE) => Some(Operation::Delete),
            (Self::Archive(_), &Method::POST) => Some(Operation::Archive),
            _ => None,
        }
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::Collection => "GET, HEAD, OPTIONS, POST",
            Self::Environment(_) => "DELETE, GET, HEAD, OPTIONS, POST",
            Self::Archive(_) => "OPTIONS, POST",
        }
    }

    /// The environment that it is about, where the id can be one. It is percent-decoded, once.
    fn environment(self) -> Result<Option<EnvironmentId>, ApiError> {
        let (Self::Environment(segment) | Self::Archive(segment)) = self else {
            return Ok(None);
        };
        let decoded = percent_decode_str(segment).decode_utf8();
        let decoded = decoded.map_err(|_| ApiError::EnvironmentNotFound)?;
        let environment = EnvironmentId::parse(&decoded).map_err(|_| ApiError::EnvironmentNotFound)?;
        Ok(Some(environment))
    }
}

/// The methods that a path has, as `Allow` lists them; `*` has those of all paths.
///
/// # Errors
/// [`ApiError::UnknownPath`], or [`ApiError::EnvironmentNotFound`] where the id segment cannot be an id.
///
/// ```
/// use envgate::contract::allowed_methods;
///
/// assert_eq!(allowed_methods("/v1/environments").unwrap(), "GET, HEAD, OPTIONS, POST");
/// assert!(allowed_methods("/v1/sessions").is_err());
/// ```
pub fn allowed_methods(path: &str) -> Result<&'static str, ApiError> {
    if path == "*" {
        return Ok(ALL_METHODS);
    }
    let resource = Resource::find(path)?;
    resource.environment()?;
    Ok(resource.methods())
}

/// The methods of all paths.
pub(super) const ALL_METHODS: &str = "DELETE, GET, HEAD, OPTIONS, POST";

impl Target {
    /// Finds the operation that a method and a path name. The path is matched as it came, without a query;
    /// the id alone is percent-decoded, once.
    ///
    /// # Errors
    /// [`ApiError::UnknownPath`], [`ApiError::MethodNotAllowed`], or [`ApiError::EnvironmentNotFound`] where
    /// the id segment cannot be an id.
    ///
    /// ```
    /// use envgate::contract::{Operation, Target};
    /// use http::Method;
    ///
    /// let target = Target::find(&Method::POST, "/v1/environments/env_1/archive").unwrap();
    /// assert_eq!(target.operation, Operation::Archive);
    /// assert!(Target::find(&Method::GET, "/v1/sessions").is_err());
    /// ```
    pub fn find(method: &Method, path: &str) -> Result<Self, ApiError> {
        let resource = Resource::find(path)?;
        let operation = resource.operation(method).ok_or(ApiError::MethodNotAllowed {
            allow: resource.methods(),
        })?;
        Ok(Self {
            operation,
            environment: resource.environment()?,
        })
    }

    /// The canonical path, as the upstream is asked.
    #[must_use]
    pub fn path(&self) -> String {
        match (&self.environment, self.operation) {
            (None, _) => COLLECTION.to_owned(),
            (Some(id), Operation::Archive) => format!("{COLLECTION}/{id}/archive"),
            (Some(id), _) => format!("{COLLECTION}/{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_at_its_own_method_and_path() {
        for (method, path, operation) in [
            (Method::POST, "/v1/environments", Operation::Create),
            (Method::GET, "/v1/environments", Operation::List),
            (Method::GET, "/v1/environments/env_1", Operation::Retrieve),
            (Method::HEAD, "/v1/environments", Operation::List),
            (Method::HEAD, "/v1/environments/env_1", Operation::Retrieve),
            (Method::POST, "/v1/environments/env_1", Operation::Update),
            (Method::DELETE, "/v1/environments/env_1", Operation::Delete),
            (Method::POST, "/v1/environments/env_1/archive", Operation::Archive),
        ] {
            let target = Target::find(&method, path).unwrap();
            assert_eq!(target.operation, operation, "{method} {path}");
            assert_eq!(target.path(), path, "the canonical path is the one that came");
        }
    }

    #[test]
    fn a_method_that_the_path_does_not_have_names_those_that_it_has() {
        for (path, expected) in [
            ("/v1/environments", "GET, HEAD, OPTIONS, POST"),
            ("/v1/environments/env_1", "DELETE, GET, HEAD, OPTIONS, POST"),
            ("/v1/environments/env_1/archive", "OPTIONS, POST"),
        ] {
            assert_eq!(allowed_methods(path).unwrap(), expected);
            let error = Target::find(&Method::PATCH, path).unwrap_err();
            assert!(
                matches!(error, ApiError::MethodNotAllowed { allow } if allow == expected),
                "{path}"
            );
        }
    }

    #[test]
    fn the_id_is_decoded_once_and_must_then_be_canonical() {
        let decoded = Target::find(&Method::GET, "/v1/environments/env%5F1").unwrap();
        assert_eq!(decoded.path(), "/v1/environments/env_1");
        for path in [
            "/v1/environments/a%2Fb",
            "/v1/environments/a%252Fb",
            "/v1/environments/",
            "/v1/environments/%FF",
            "/v1/environments/bridge",
            "/v1/environments/%62ridge",
        ] {
            let error = Target::find(&Method::GET, path).unwrap_err();
            assert!(
                matches!(error, ApiError::EnvironmentNotFound),
                "{path} gave {error:?}"
            );
        }
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in [
            "/",
            "/v1/environmentsx",
            "/v1/environments/env_1/work",
            "/v1/environments/env_1/archive/x",
            "/v1//environments",
        ] {
            assert!(
                matches!(Target::find(&Method::GET, path), Err(ApiError::UnknownPath)),
                "{path}"
            );
            assert!(
                matches!(allowed_methods(path), Err(ApiError::UnknownPath)),
                "{path}"
            );
        }
    }
}
