//! What is logged: told, and changed while the gateway runs.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::actor::Actor;
use super::body::Fields;
use super::problem::Problem;
use super::{Admin, answer};
use crate::config::check_log_level;
use crate::store::AuditOperation;
use crate::telemetry::{CAPPED, LevelSet, capped_directive};
use crate::text::format_timestamp;

/// How long that holds which was set here.
const LASTS: &str = "a restart, or a reload that changes log.level";

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/log", get(show).put(set))
}

async fn show(State(admin): State<Admin>) -> Response {
    answer(StatusCode::OK, &to_json(&admin))
}

async fn set(State(admin): State<Admin>, actor: Actor, request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::read(request, &["level"]).await?;
    let level = fields.required_text("level");
    if let Err(problem) = check(&level) {
        fields.fault("level", &problem);
    }
    fields.finish()?;
    tracing::info!(by = actor.name, level, "the admin API changes what is logged");
    let is_configured = level == admin.settings.load().log.level;
    let set = (!is_configured).then(|| LevelSet {
        by: actor.name.clone(),
        at: Timestamp::now(),
    });
    let before = admin.log.set_level(&level, set).map_err(|error| {
        tracing::error!(%error, "a level was checked and is not understood");
        Problem::Internal
    })?;
    if before.level != level {
        record(&admin, actor, &before.level, &level);
    }
    Ok(answer(StatusCode::OK, &to_json(&admin)))
}

fn check(level: &str) -> Result<(), String> {
    check_log_level(level).map_err(|problem| problem.to_string())?;
    match capped_directive(level) {
        None => Ok(()),
        Some(directive) => Err(format!(
            "{directive} cannot be had: of {} nothing but errors is ever logged, because they print what clients send, \
             credentials included",
            CAPPED.join(", ")
        )),
    }
}

fn record(admin: &Admin, actor: Actor, from: &str, to: &str) {
    let Some(audit) = admin.gateway.audit() else {
        return;
    };
    let change = json!([{ "setting": "log.level", "from": from, "to": to }]);
    let recorded = audit.record_admin(&actor.into(), AuditOperation::SetLogLevel, Some(change));
    if let Err(error) = recorded {
        tracing::error!(%error, "the audit does not have that what is logged has changed");
    }
}

fn to_json(admin: &Admin) -> Value {
    let in_force = admin.log.level();
    let set = in_force.set.as_ref();
    json!({
        "level": in_force.level,
        "source": if set.is_some() { "admin" } else { "settings" },
        "set_by": set.map(|set| &set.by),
        "set_at": set.map(|set| format_timestamp(set.at)),
        "lasts_until": set.map(|_| LASTS),
        "settings": admin.settings.load().log.level,
        "never_above_error": CAPPED,
    })
}
