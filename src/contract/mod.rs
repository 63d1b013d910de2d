//! What the API promises: operations, documents, schemas, violations, dialects and errors. Pure.

mod authentication_failure;
mod betas;
mod dialect;
mod document;
mod echo;
mod envelope;
mod environment_edit;
mod error;
mod malformed_request;
mod media_type;
mod operation;
mod operator_fault;
mod page;
mod query;
mod reply;
mod reply_error;
mod schema;
mod stamp;
mod strictness;
mod upstream_error;
mod violation;
mod warnings;

pub use crate::text::{Edits, Layout, Node, Object};
pub use authentication_failure::{AuthenticationFailure, CredentialHeader};
pub use betas::{BETA, BetaRules};
pub use dialect::Dialect;
pub use document::{DocumentFault, DocumentFaultKind, parse_document};
pub(crate) use echo::quoted;
pub use envelope::{Answer, REQUEST_ID, RETRY_HEADERS, SHOULD_RETRY};
pub use error::{ApiError, UpstreamError};
pub use malformed_request::MalformedRequest;
pub use media_type::check_media_type;
pub use operation::{Operation, Target, allowed_methods};
pub use operator_fault::{OperatorFault, SentTexts};
pub use page::{ListedEnvironment, PageOutline};
pub use query::RequestQuery;
pub use reply::ReplyOutline;
pub use reply_error::ReplyError;
pub use schema::{
    Finding, FindingKind, ReplyDocument, ReplySchemas, SchemaFault, SchemaFile, SchemaPatches, Schemas,
    Sighting, UpstreamReply, prove_schemas,
};
pub use stamp::{InvalidStampKey, StampKey};
pub use strictness::{BodyStrictness, Rule, Strictness};
pub use upstream_error::UpstreamErrorBody;
pub use violation::{Violation, Violations};
pub use warnings::{Warning, Warnings};
