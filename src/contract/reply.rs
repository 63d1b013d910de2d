use std::borrow::Cow;

use bytes::Bytes;

use super::{Dialect, Edits, Layout, Object, Operation, ReplyError, StampKey};
use crate::environment::EnvironmentId;

/// What was read of a successful reply, once for all who get it: the text itself stays apart, so that it can
/// be shared.
#[derive(Debug)]
pub struct ReplyOutline {
    /// Which environment it is; none where it is not one environment.
    pub environment: Option<EnvironmentId>,
    /// The stamp that the environment has; none where it is not one environment, or has none.
    pub stamp: Option<String>,
    /// What turns the text into the dialect's, without stamps.
    edits: Edits,
}

impl ReplyOutline {
    /// The reply as the dialect shows it; `body` is what the outline was made of. The same bytes where
    /// nothing changes.
    #[must_use]
    pub fn show(&self, body: &Bytes) -> Bytes {
        let text = std::str::from_utf8(body).unwrap_or_default();
        self.edits.apply(text).map_or_else(|| body.clone(), Bytes::from)
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [
            self.environment.as_ref().map(EnvironmentId::as_str),
            self.stamp.as_deref(),
        ];
        size_of::<Self>() + texts.into_iter().flatten().map(str::len).sum::<usize>() + self.edits.bytes()
    }
}

impl Dialect {
    /// Looks into the body of a successful upstream reply for what makes the dialect's of it: the stamp of every
    /// environment is hidden. What neither changes stays as it came, byte for byte: unknown fields, key
    /// order, white space, big numbers. Replies are open: no more is asked of them than that a client can
    /// read them at all.
    ///
    /// # Errors
    /// [`ReplyError::NotAnObject`] where an environment has no `id`, or a list no list of `data`.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use envgate::contract::{Dialect, Layout, Operation, StampKey};
    ///
    /// let body = r#"{"id": "env_1", "metadata": {"envgate:tenant": "ten_1"}, "scope": "account"}"#;
    /// let layout = Layout::of(body).unwrap();
    /// let reply = layout.object(body).unwrap();
    /// let outline = Dialect::SANDBASE
    ///     .outline(Operation::Retrieve, reply, &StampKey::default())
    ///     .unwrap();
    /// assert_eq!(outline.stamp.as_deref(), Some("ten_1"));
    /// assert_eq!(outline.show(&Bytes::from(body)), r#"{"id": "env_1", "metadata": {}}"#);
    /// ```
    pub fn outline(
        &self,
        operation: Operation,
        reply: Object<'_>,
        stamp_key: &StampKey,
    ) -> Result<ReplyOutline, ReplyError> {
        let refused = ReplyError::NotAnObject;
        let mut edits = Edits::default();
        let mut environment = None;
        let mut stamp = None;
        match operation {
            Operation::Delete => {}
            Operation::List => {
                let data = reply.member("data").ok_or(refused)?;
                for environment in data.objects().ok_or(refused)? {
                    self.edit(environment, stamp_key, &mut edits);
                }
            }
            Operation::Create | Operation::Retrieve | Operation::Update | Operation::Archive => {
                let id = reply.member("id").ok_or(refused)?;
                environment = id.as_string().and_then(|id| EnvironmentId::parse(&id).ok());
                stamp = self.edit(reply, stamp_key, &mut edits).map(Cow::into_owned);
            }
        }
        Ok(ReplyOutline {
            environment,
            stamp,
            edits,
        })
    }

    /// One environment out of a list, as the dialect shows it and without its stamp; `text` is all of it.
    #[must_use]
    pub fn show_listed<'t>(&self, text: &'t str, stamp_key: &StampKey) -> Cow<'t, str> {
        let mut edits = Edits::default();
        let layout = Layout::of(text);
        if let Some(environment) = layout.as_ref().and_then(|layout| layout.object(text)) {
            self.edit(environment, stamp_key, &mut edits);
        }
        edits.apply(text).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Edits one environment, and gives back its stamp.
    fn edit<'t>(
        &self,
        environment: Object<'t>,
        stamp_key: &StampKey,
        edits: &mut Edits,
    ) -> Option<Cow<'t, str>> {
        if let Some(edit) = self.edit_environment {
            edit(environment, edits);
        }
        stamp_key.hide(environment, edits)
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

#[cfg(test)]
mod tests;
