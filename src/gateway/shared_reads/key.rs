use std::sync::Arc;

use http::HeaderValue;

use crate::environment::EnvironmentId;
use crate::tenancy::TenantId;

/// All that a reply depends on. Two reads with one key may share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::gateway) struct ReadKey {
    pub(in crate::gateway) subject: Subject,
    /// The part of the upstream that is seen.
    pub(in crate::gateway) access: Arc<str>,
    pub(in crate::gateway) dialect: &'static str,
    /// `anthropic-version` and `anthropic-beta` as they go up.
    pub(in crate::gateway) version: HeaderValue,
    pub(in crate::gateway) betas: HeaderValue,
    pub(in crate::gateway) path_and_query: String,
}

impl ReadKey {
    /// How many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let subject = match &self.subject {
            Subject::Environment(id, tenant) => id.as_str().len() + tenant.0.len(),
            Subject::List | Subject::Page => 0,
        };
        let headers = self.version.len() + self.betas.len();
        size_of::<Self>() + subject + headers + self.path_and_query.len()
    }
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::gateway) enum Subject {
    /// One environment, for one tenant.
    Environment(EnvironmentId, TenantId),
    /// A list as the upstream gives it.
    List,
    /// A page of everybody's environments; each reader picks its own.
    Page,
}
