//! Environments from before the gateway become a tenant's, and nobody takes another's unnoticed.

mod audit;
mod command;
mod jobs;
mod ownership;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;

use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{Seen, Then, Upstream};
use parking_lot::Mutex;
use serde_json::{Value, json};

const TOKEN: &str = "the-token-of-the-operator";
const STAMP: &str = "envgate:tenant";

type Metadata = BTreeMap<String, String>;

/// An upstream with environments that somebody made without a gateway, each with this metadata. It takes 16 pairs.
struct Old {
    upstream: Upstream,
    stored: Arc<Mutex<BTreeMap<String, Metadata>>>,
}

impl Old {
    fn start(environments: &[(&str, &[(&str, &str)])]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let stored: BTreeMap<_, Metadata> = environments
            .iter()
            .map(|(id, metadata)| ((*id).to_owned(), metadata.iter().map(own).collect()))
            .collect();
        let stored = Arc::new(Mutex::new(stored));
        let shared = Arc::clone(&stored);
        let upstream = Upstream::start(move |_, seen| answer(&mut shared.lock(), seen));
        Self { upstream, stored }
    }

    fn metadata(&self, id: &str) -> Metadata {
        self.stored.lock()[id].clone()
    }

    fn setup(&self) -> Setup {
        Setup::new()
            .upstream(self.upstream.address)
            .set("ENVGATE_OWNERSHIP__STAMP", "true")
            .set("ENVGATE_ADMIN__TOKEN", TOKEN)
    }
}

fn answer(stored: &mut BTreeMap<String, Metadata>, seen: &Seen) -> Then {
    let error = |status, kind, message: &str| {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}});
        Then::respond(status, &[], &body.to_string())
    };
    let path = seen.line.split(' ').nth(1).unwrap();
    let id = path.strip_prefix("/v1/environments/").unwrap_or_default();
    let Some(metadata) = stored.get_mut(id) else {
        return error("404 Not Found", "not_found_error", "Environment not found.");
    };
    if seen.line.starts_with("POST") {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let mut changed = metadata.clone();
        for (name, value) in body["metadata"].as_object().into_iter().flatten() {
            changed.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        if changed.len() > 16 {
            return error(
                "400 Bad Request",
                "invalid_request_error",
                "metadata: at most 16 pairs",
            );
        }
        let breaks = metadata.contains_key(STAMP) && metadata.contains_key("breaks");
        *metadata = changed;
        if breaks {
            return Then::Reset;
        }
    }
    let body = json!({"id": id, "type": "environment", "name": id, "metadata": metadata});
    Then::respond(
        "200 OK",
        &[("content-type", "application/json")],
        &body.to_string(),
    )
}

/// Runs the command against a gateway, with a token.
fn adopt(envgate: &Envgate, token: &str, arguments: &[&str]) -> Output {
    let admin = format!("http://{}", envgate.admin);
    Setup::new()
        .set("ENVGATE_ADMIN__TOKEN", token)
        .run(&[&["adopt", "--admin", &admin], arguments].concat())
}

/// The table that a command printed, as the outcome of each environment.
fn outcomes(output: &Output) -> BTreeMap<String, String> {
    let said = text(&output.stdout);
    let mut lines = said.lines();
    assert!(
        lines.next().unwrap().starts_with("ENVIRONMENT"),
        "{said}{}",
        text(&output.stderr)
    );
    lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(id, outcome)| (id.to_owned(), outcome.trim().to_owned()))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn get(gateway: SocketAddr, key: &str, id: &str) -> Response {
    Request::new(gateway, "GET", &format!("/v1/environments/{id}"))
        .header("x-api-key", key)
        .send()
}

/// Another tenant of the gateway, and its key.
fn second_tenant(envgate: &Envgate) -> String {
    for arguments in [
        &["tenants", "create", "acme"][..],
        &["keys", "create", "--tenant", "acme", "--quiet"],
    ] {
        let output = envgate.run(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        if arguments[0] == "keys" {
            return text(&output.stdout).trim().to_owned();
        }
    }
    unreachable!()
}
