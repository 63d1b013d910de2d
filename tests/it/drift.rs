//! Whether the upstream keeps to the contract: what it sends is never changed, and told of.

mod command;
mod flood;
mod patches;
mod replicas;
mod store;

use serde_json::{Value, json};

use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{ENVIRONMENT, Seen, Then, Upstream};

pub(super) const PATH: &str = "/v1/environments/env_1";

/// An environment, as the upstream of the contract answers with it, with changes.
pub(super) fn environment(change: impl FnOnce(&mut Value)) -> String {
    let mut environment = serde_json::from_str(ENVIRONMENT).unwrap();
    change(&mut environment);
    environment.to_string()
}

/// An environment of an upstream that has changed its contract.
pub(super) fn changed() -> String {
    environment(|environment| {
        environment["state"] = json!("planted-state");
        environment["config"]["networking"] = json!({"type": "package_managers_and_custom"});
        environment["config"]["packages"]
            .as_object_mut()
            .unwrap()
            .remove("go");
        environment["metadata"] = json!({"planted-name": "planted-value"});
    })
}

pub(super) fn respond(body: &str) -> Then {
    Then::respond("200 OK", &[("content-type", "application/json")], body)
}

/// An upstream that answers as `body` says, from the body that it was sent.
pub(super) fn upstream(body: impl Fn(&Value) -> String + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |_, seen: &Seen| {
        respond(&body(&serde_json::from_slice(&seen.body).unwrap_or_default()))
    })
}

/// Replies go down as they came.
pub(super) fn native(upstream: &Upstream) -> Setup {
    Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_CONTRACT__DIALECT", "anthropic")
}

/// Kind, pointer and detail of all findings, and how often each was seen.
pub(super) fn findings(envgate: &Envgate) -> Vec<(String, String, Value, u64)> {
    let answer = envgate.admin_get("/api/v1/drift?limit=1000");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("planted"), "{}", answer.text());
    let page = answer.json();
    assert_eq!(page["next_page"], Value::Null);
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let mut findings: Vec<_> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let count = finding["count"].as_u64().unwrap();
            (
                text(finding, "kind"),
                text(finding, "pointer"),
                finding["detail"].clone(),
                count,
            )
        })
        .collect();
    findings.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    findings
}

/// What [`changed`] differs in, seen so often.
pub(super) fn of_changed(count: u64) -> Vec<(String, String, Value, u64)> {
    [
        ("missing_field", "/config/packages/go", Value::Null),
        ("unknown_field", "/state", Value::Null),
        (
            "unknown_value",
            "/config/networking/type",
            json!("\"package_managers_and_custom\""),
        ),
    ]
    .map(|(kind, pointer, detail)| (kind.to_owned(), pointer.to_owned(), detail, count))
    .to_vec()
}

/// How many replies were looked at, in whatever way.
pub(super) fn replies(envgate: &Envgate) -> f64 {
    ["known_shape", "measured", "unmeasured"]
        .map(|result| envgate.metric(&format!("envgate_drift_replies_total{{result=\"{result}\"}}")))
        .iter()
        .sum()
}
