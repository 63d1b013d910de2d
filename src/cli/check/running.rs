//! What the gateway that runs would make of its settings if it read them again now.

use std::io::{self, Write};

use serde_json::Value;

use crate::cli::admin_client::{AdminClient, AdminError};
use crate::config::Settings;

/// Asks the gateway at the settings' admin address, or at `url`, and tells setting by setting what a reload would
/// change. False where the gateway would refuse it, or cannot be asked.
pub(super) fn tell_changes(
    settings: &Settings,
    url: Option<&str>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<bool> {
    let told = match ask(settings, url) {
        Ok(told) => told,
        Err(error) => return writeln!(err, "{error}").map(|()| false),
    };
    let field = |name: &str| told.get(name).and_then(Value::as_array).into_iter().flatten();
    let lasting: Vec<_> = field("needs_restart").collect();
    let mut is_changing = false;
    for change in field("changes") {
        let setting = change.get("setting").and_then(Value::as_str).unwrap_or_default();
        let needs_restart = lasting.iter().any(|lasting| lasting.as_str() == Some(setting));
        is_changing |= !needs_restart;
        let verb = if needs_restart { "a restart" } else { "a reload" };
        writeln!(out, "{verb} would change {setting}{}", values(change))?;
    }
    if !is_changing {
        writeln!(out, "ok: a reload of the running gateway would change nothing")?;
    }
    Ok(true)
}

#[tokio::main(flavor = "current_thread")]
async fn ask(settings: &Settings, url: Option<&str>) -> Result<Value, AdminError> {
    AdminClient::new(&settings.admin, url)?
        .get("/api/v1/reload")
        .await
}

fn values(change: &Value) -> String {
    if change.get("secret").and_then(Value::as_bool) == Some(true) {
        return ", which is secret".to_owned();
    }
    if change.get("from") == change.get("to") {
        return ": what stands behind it is another".to_owned();
    }
    let value = |name: &str| match change.get(name).and_then(Value::as_str) {
        Some(value) => format!("{value:?}"),
        None => "nothing".to_owned(),
    };
    format!(" from {} to {}", value("from"), value("to"))
}
