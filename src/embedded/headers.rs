use axum::http::HeaderMap;
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use crate::config::Secret;
use crate::contract::ApiError;

/// What a beta of this API begins with; a later one is taken as well.
const BETA_PREFIX: &str = "managed-agents-";

/// Checks what every request must carry: the credential, a version, and the beta of this API.
pub(super) fn check(headers: &HeaderMap, credential: &Secret) -> Result<(), Refusal> {
    check_credential(headers, credential)?;
    check_version(headers)?;
    check_beta(headers)
}

fn check_credential(headers: &HeaderMap, credential: &Secret) -> Result<(), Refusal> {
    let mut sent = headers.get_all("x-api-key").iter();
    let (Some(key), None) = (sent.next(), sent.next()) else {
        return Err(Refusal::Credential("exactly one x-api-key header is required"));
    };
    if bool::from(key.as_bytes().ct_eq(credential.reveal().as_bytes())) {
        Ok(())
    } else {
        Err(Refusal::Credential("invalid x-api-key"))
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(version) = headers.get("anthropic-version") else {
        return bad("the anthropic-version header is required");
    };
    if is_date(version.as_bytes()) {
        Ok(())
    } else {
        bad("anthropic-version must be a date such as 2023-06-01")
    }
}

fn is_date(text: &[u8]) -> bool {
    match text.split(|byte| *byte == b'-').collect::<Vec<_>>()[..] {
        [year, month, day] => is_number(year, 4) && is_number(month, 2) && is_number(day, 2),
        _ => false,
    }
}

fn is_number(text: &[u8], length: usize) -> bool {
    text.len() == length && text.iter().all(u8::is_ascii_digit)
}

/// The names may come as one list with commas, in several headers, or both.
fn check_beta(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_named = headers
        .get_all("anthropic-beta")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().strip_prefix(BETA_PREFIX))
        .any(|date| is_date(date.as_bytes()));
    if is_named {
        Ok(())
    } else {
        bad("this API is in beta: anthropic-beta must contain managed-agents-2026-04-01")
    }
}

fn bad(message: &'static str) -> Result<(), Refusal> {
    Err(ApiError::BadRequest(message.into()).into())
}
