//! `envgate health`: whether the gateway that runs here should get requests, for whoever has no other client.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tokio::time::timeout;

use super::admin_client::AdminClient;
use super::admin_tls;
use super::output::{CommandError, print};
use crate::config;

/// How long it may take in all.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Prints the word of `/readyz`, or `unreachable`, and why on standard error. Exit 0 where requests should be sent.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>) -> Result<ExitCode, CommandError> {
    let endpoint = config::admin_endpoint_from_process(config)?;
    let tls = match endpoint.is_tls {
        true => Some(admin_tls::unverified_config(endpoint.client.as_ref())?),
        false => None,
    };
    let client = AdminClient::without_token(endpoint.address, tls)?;
    let answer = timeout(TIMEOUT, client.look_at("/readyz")).await;
    match answer.unwrap_or_else(|_elapsed| Err(client.broken("it took too long"))) {
        Ok((status, body)) => {
            print(&word(status, &body))?;
            Ok(match status.is_success() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
        Err(error) => {
            print("unreachable")?;
            Err(error.into())
        }
    }
}

/// The first word of an answer of `/readyz`.
fn word(status: StatusCode, body: &[u8]) -> String {
    let said = match serde_json::from_slice::<Value>(body) {
        Ok(answer) => answer.get("status").and_then(Value::as_str).map(str::to_owned),
        Err(_) => std::str::from_utf8(body).ok().map(str::to_owned),
    };
    let said = said.unwrap_or_default();
    let first = said.split(|c: char| !c.is_ascii_alphabetic()).next();
    let word = first.filter(|word| (3..=16).contains(&word.len()) && *word != "not");
    match word {
        Some(word) => word.to_owned(),
        None if status.is_success() => "ready".to_owned(),
        None => "unready".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_said_however_much_the_gateway_says() {
        for (status, body, expected) in [
            (200, r#"{"status":"ready"}"#, "ready"),
            (
                200,
                r#"{"status":"degraded: the store cannot be reached"}"#,
                "degraded",
            ),
            (503, r#"{"status":"waiting for the store: no"}"#, "waiting"),
            (
                503,
                r#"{"status":"not ready: ownership.stamp is off"}"#,
                "unready",
            ),
            (503, "stopping", "stopping"),
            (404, "", "unready"),
            (200, "<html>", "ready"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(word(status, body.as_bytes()), expected, "{body}");
        }
    }
}
