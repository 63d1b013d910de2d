//! Requests as official clients put them on the wire, replayed byte for byte but for the credential.

use std::path::{Path, PathBuf};

use crate::common::client::{Connection, Response};
use crate::common::envgate::{Envgate, OPERATOR_KEY};
use crate::common::upstream::{Seen, Then, Upstream};

/// The captured requests of an SDK's version, in the order in which they were sent.
fn captures(version: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(version);
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A captured request with another key in it.
fn captured(file: &Path, key: &str) -> Vec<u8> {
    let text = String::from_utf8(std::fs::read(file).unwrap()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.replace("sk-ant-KEY", key).replace("tok-TOKEN", key);
    format!("{head}\r\n\r\n{body}").into_bytes()
}

fn send(envgate: &Envgate, request: &[u8]) -> Response {
    let mut connection = Connection::open(envgate.gateway);
    connection.write(request);
    connection.read_response()
}

fn replay(envgate: &Envgate, version: &str) -> Vec<(String, Response)> {
    let answers = captures(version).into_iter().map(|file| {
        let request = captured(&file, &envgate.key);
        let line = String::from_utf8_lossy(&request)
            .lines()
            .next()
            .unwrap()
            .to_owned();
        (line, send(envgate, &request))
    });
    answers.collect()
}

#[test]
fn every_captured_request_is_answered_as_its_operation_is() {
    for version in ["python/1.17.0", "python/2.12.0"] {
        let envgate = Envgate::start();
        let answers = replay(&envgate, version);
        assert_eq!(answers.len(), 24);
        let mut is_deleted = false;
        for (line, response) in answers {
            let path = line.split(' ').nth(1).unwrap();
            let expected = if path.contains("%2F") {
                404
            } else if path.contains("page=") {
                // The captured cursor is not one of this upstream's.
                400
            } else if is_deleted && path.contains("/env_011CZkZ9X2dpNyB7HsEFoRfW") {
                404
            } else {
                200
            };
            assert_eq!(
                response.status,
                expected,
                "{version}: {line}: {}",
                response.text()
            );
            is_deleted |= line.starts_with("DELETE");
        }
    }
}

/// That the upstream saw what was captured, in the operator's name.
fn assert_translated(seen: &Seen, captured: &[u8], what: &str) {
    let text = String::from_utf8_lossy(captured);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(seen.line, head.lines().next().unwrap(), "{what}");
    let body = body.trim_end();
    // Where an operation takes no body, an empty one is as good as none.
    assert_eq!(String::from_utf8_lossy(&seen.body), body, "{what}");
    assert_eq!(seen.all("x-api-key"), [OPERATOR_KEY], "{what}");
    assert_eq!(seen.all("anthropic-version"), ["2026-10-21"], "{what}");
    let betas = head
        .lines()
        .find_map(|line| line.strip_prefix("anthropic-beta: "))
        .unwrap();
    assert_eq!(seen.all("anthropic-beta"), [betas], "{what}");
    for name in [
        "authorization",
        "anthropic-workspace-id",
        "sec-fetch-mode",
        "accept-language",
    ] {
        assert!(seen.all(name).is_empty(), "{what}: {name}: {seen:?}");
    }
}

#[test]
fn what_the_newest_clients_send_goes_up_in_the_operators_name_and_work_does_not() {
    for (version, count) in [("python/2.14.0", 13), ("typescript/1.14.0", 7)] {
        let upstream = Upstream::always(Then::environment());
        let envgate = Envgate::in_front_of(upstream.address);
        let files = captures(version);
        assert_eq!(files.len(), count);
        for file in files {
            let request = captured(&file, &envgate.key);
            let what = file.display().to_string();
            let before = upstream.seen().len();
            let response = send(&envgate, &request);
            let seen = upstream.seen();
            if String::from_utf8_lossy(&request)
                .lines()
                .next()
                .unwrap()
                .contains("/work")
            {
                response.expect_error(404, "not_found");
                assert_eq!(seen.len(), before, "{what}");
            } else {
                assert_eq!(response.status, 200, "{what}: {}", response.text());
                assert_eq!(seen.len(), before + 1, "{what}");
                assert_translated(seen.last().unwrap(), &request, &what);
            }
        }
    }
}

#[test]
fn betas_that_come_as_a_line_each_go_up_as_one_list() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    let request = envgate.request("GET", "/v1/environments/env_1");
    let response = request
        .header("anthropic-beta", "managed-agents-2026-04-01")
        .header("anthropic-beta", "files-api-2025-04-14, context-1m-2025-08-07")
        .header("anthropic-beta", "files-api-2025-04-14")
        .send();
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(
        upstream.seen()[0].all("anthropic-beta"),
        ["managed-agents-2026-04-01,files-api-2025-04-14,context-1m-2025-08-07"]
    );
}

#[test]
fn an_id_with_reserved_characters_as_they_are_is_nobodys() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    for id in [
        "env_1;v=2",
        "env:1",
        "env@1",
        "env+1",
        "env,1",
        "env!1",
        "env$1",
        "env&1",
        "env'1",
        "(env)",
        "env*1",
        "env=1",
        "env.1",
        "~env",
    ] {
        let response = envgate.get(&format!("/v1/environments/{id}"));
        response.expect_error(404, "not_found");
    }
    assert!(upstream.seen().is_empty());
}
