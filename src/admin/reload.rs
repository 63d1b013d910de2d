//! Settings are read again where somebody asks for it, or it is told what that would change.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tokio::sync::{mpsc, oneshot};

use super::actor::Actor;
use super::problem::Problem;
use super::reload_outcome::{Reload, ReloadRejection};
use super::{Admin, answer};
use crate::store::Operator;

/// How many may wait for their turn to have the settings read again.
const MAX_WAITING: usize = 16;

/// Where reloads are asked for. Clones share it.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<ReloadRequest>);

/// Somebody who asks for one.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Whether nothing is to change, and only what would is to be told.
    pub is_dry_run: bool,
    /// Whoever asks.
    pub operator: Operator,
    /// Who waits for the outcome.
    pub answer: oneshot::Sender<Result<Reload, ReloadRejection>>,
}

impl Reloads {
    /// Where they are asked for, and where whoever does them hears of it.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (requests, asked) = mpsc::channel(MAX_WAITING);
        (Self(requests), asked)
    }

    async fn ask(&self, is_dry_run: bool, actor: Actor) -> Result<Reload, Problem> {
        let (answer, outcome) = oneshot::channel();
        let request = ReloadRequest {
            is_dry_run,
            operator: actor.into(),
            answer,
        };
        // Who does them is gone once the gateway stops.
        self.0.send(request).await.map_err(|_| Problem::Stopping)?;
        let outcome = outcome.await.map_err(|_| Problem::Stopping)?;
        outcome.map_err(Problem::ReloadRefused)
    }
}

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/reload", get(preview).post(reload))
}

async fn preview(State(admin): State<Admin>, actor: Actor) -> Result<Response, Problem> {
    let reload = admin.reloads.ask(true, actor).await?;
    Ok(answer(StatusCode::OK, &reload.to_json()))
}

async fn reload(State(admin): State<Admin>, actor: Actor) -> Result<Response, Problem> {
    tracing::info!(
        by = actor.name,
        "the admin API is asked to have the settings read again"
    );
    let reload = admin.reloads.ask(false, actor).await?;
    Ok(answer(StatusCode::OK, &reload.to_json()))
}
