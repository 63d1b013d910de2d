//! Settings are read again while the gateway runs: whole or not at all, and between two requests.

mod credentials;
mod memory;
mod often;
mod outcomes;
mod recorded;
mod requests;
mod shared;
mod triggers;

use serde_json::Value;

use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::Upstream;

pub const TOKEN: &str = "0123456789abcdef-admin";
pub const APPLIED: &str = r#"envgate_reloads_total{outcome="applied"}"#;
pub const UNCHANGED: &str = r#"envgate_reloads_total{outcome="unchanged"}"#;
pub const REFUSED: &str = r#"envgate_reloads_total{outcome="refused"}"#;

/// Settings in a file that a test may write anew.
pub fn setup(text: &str) -> Setup {
    Setup::new().set("ENVGATE_ADMIN__TOKEN", TOKEN).file(text)
}

/// The same in front of an upstream, for one tenant.
pub fn in_front_of(upstream: &Upstream, text: &str) -> Setup {
    setup(text).upstream(upstream.address)
}

/// Writes the file of the settings anew.
pub fn write(envgate: &Envgate, text: &str) {
    std::fs::write(envgate.path().join("envgate.toml"), text).unwrap();
}

/// Has the settings read again.
pub fn reload(envgate: &Envgate) -> Response {
    ask(envgate, "POST")
}

/// Asks what that would change.
pub fn preview(envgate: &Envgate) -> Response {
    ask(envgate, "GET")
}

fn ask(envgate: &Envgate, method: &str) -> Response {
    Request::new(envgate.admin, method, "/api/v1/reload")
        .header("authorization", &format!("Bearer {TOKEN}"))
        .send()
}

/// Writes the file anew and has it read; gives back what has changed.
#[track_caller]
pub fn apply(envgate: &Envgate, text: &str) -> Value {
    write(envgate, text);
    let answer = reload(envgate);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["outcome"], "applied", "{told}");
    told
}
