use bytes::Bytes;

use super::{Dialect, Edits, Member, Object, Operation, RefusedReply};
use crate::environment::EnvironmentId;

/// What a dialect makes of an environment in a reply.
pub(super) type EditEnvironment = fn(&Object<'_>, &mut Edits);

/// The package managers that a `packages` object lists.
const PACKAGE_LISTS: [&str; 6] = ["apt", "cargo", "gem", "go", "npm", "pip"];

impl Dialect {
    /// Turns the body of a successful upstream reply into the dialect's. What the dialect does not change stays as
    /// it came, byte for byte: unknown fields, key order, white space, big numbers. Replies are open: no more is
    /// asked of them than that a client can read them at all.
    ///
    /// # Errors
    /// [`RefusedReply::NotAnObject`] where the body is not one JSON object, an environment has no `id`, or a list no
    /// list of `data`.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use envgate::contract::{Dialect, Operation};
    ///
    /// let body = Bytes::from_static(br#"{"id": "env_1", "state": "new", "scope": "account"}"#);
    /// let reply = Dialect::SANDBASE.reply(Operation::Retrieve, body).unwrap();
    /// assert_eq!(reply, r#"{"id": "env_1", "state": "new"}"#);
    /// ```
    pub fn reply(&self, operation: Operation, body: Bytes) -> Result<Bytes, RefusedReply> {
        let refused = RefusedReply::NotAnObject;
        let text = std::str::from_utf8(&body).map_err(|_| refused)?;
        let object = Object::read(text).ok_or(refused)?;
        let is_readable = match operation {
            Operation::Delete => true,
            Operation::List => object.member("data").is_some_and(Member::is_list),
            Operation::Create | Operation::Retrieve | Operation::Update | Operation::Archive => {
                object.member("id").is_some()
            }
        };
        if !is_readable {
            return Err(refused);
        }
        let Some(edit) = self.edit_environment else {
            return Ok(body);
        };
        let mut edits = Edits::default();
        match operation {
            Operation::Delete => {}
            Operation::List => {
                let environments = object.member("data").and_then(|data| object.objects_in(data));
                environments
                    .iter()
                    .flatten()
                    .for_each(|environment| edit(environment, &mut edits));
            }
            Operation::Create | Operation::Retrieve | Operation::Update | Operation::Archive => {
                edit(&object, &mut edits);
            }
        }
        match edits.apply(text) {
            Some(edited) => Ok(edited.into()),
            None => Ok(body),
        }
    }

    /// The body that says that an environment was deleted, for an upstream that says it without one.
    ///
    /// ```
    /// use envgate::contract::Dialect;
    /// use envgate::environment::EnvironmentId;
    ///
    /// let id = EnvironmentId::parse("env_1").unwrap();
    /// assert_eq!(Dialect::SANDBASE.deleted(&id), r#"{"id":"env_1","type":"environment_deleted"}"#);
    /// ```
    #[must_use]
    pub fn deleted(&self, id: &EnvironmentId) -> Bytes {
        // An id has no character that JSON would escape.
        format!(r#"{{"id":"{id}","type":"environment_deleted"}}"#).into()
    }
}

/// The environment of the facade's document: without `scope`, its packages whole.
pub(super) fn edit_for_sandbase(environment: &Object<'_>, edits: &mut Edits) {
    edits.change(environment, |member| member.name == "scope", "");
    let Some(config) = environment
        .member("config")
        .and_then(|config| environment.object_in(config))
    else {
        return;
    };
    if !config.member("type").is_some_and(|kind| kind.is_string("cloud")) {
        return;
    }
    match config.member("packages") {
        None => edits.change(
            &config,
            |_| false,
            format!(r#""packages":{{{}}}"#, missing_packages(None)),
        ),
        Some(packages) if packages.is_null() => {
            edits.replace(packages, format!("{{{}}}", missing_packages(None)));
        }
        Some(packages) => {
            if let Some(packages) = config.object_in(packages) {
                complete_packages(&packages, edits);
            }
        }
    }
}

fn complete_packages(packages: &Object<'_>, edits: &mut Edits) {
    for list in packages.members().iter().filter(|member| member.is_null()) {
        if list.name == "type" {
            edits.replace(list, r#""packages""#);
        } else if PACKAGE_LISTS.contains(&list.name.as_ref()) {
            edits.replace(list, "[]");
        }
    }
    edits.change(packages, |_| false, missing_packages(Some(packages)));
}

/// The members that a `packages` object does not have, as JSON.
fn missing_packages(packages: Option<&Object<'_>>) -> String {
    let is_missing = |name: &str| packages.is_none_or(|packages| packages.member(name).is_none());
    let kind = is_missing("type").then(|| r#""type":"packages""#.to_owned());
    let lists = PACKAGE_LISTS.into_iter().filter(|name| is_missing(name));
    let members: Vec<_> = kind
        .into_iter()
        .chain(lists.map(|name| format!(r#""{name}":[]"#)))
        .collect();
    members.join(",")
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
