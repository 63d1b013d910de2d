use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::config::Rights;
use crate::store::Operator;

/// Who uses the admin API.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    /// As the audit tells it: the name of a token, or the subject of a certificate.
    pub(super) name: String,
    /// What they may do.
    pub(super) rights: Rights,
    /// From which address they ask.
    pub(super) peer: Option<IpAddr>,
}

/// Whoever was let in.
impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let admitted = parts.extensions.get::<Self>().cloned();
        Ok(admitted.unwrap_or_else(|| Self {
            name: "nobody".to_owned(),
            rights: Rights::Read,
            peer: None,
        }))
    }
}

impl From<Actor> for Operator {
    fn from(actor: Actor) -> Self {
        Self {
            name: actor.name,
            client_address: actor.peer,
        }
    }
}
