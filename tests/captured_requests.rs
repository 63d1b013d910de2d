//! What official clients really send is understood by the contract.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use envgate::contract::{
    ApiError, Dialect, ListQuery, Operation, Strictness, Target, beta_only, parse_document,
};
use http::Method;

/// A captured request, taken apart.
struct Captured {
    file: String,
    method: Method,
    path: String,
    query: Option<String>,
    body: String,
}

fn captured_requests() -> Vec<Captured> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures/python");
    let versions = fs::read_dir(root).unwrap().map(|version| version.unwrap().path());
    let files = versions.flat_map(|version| fs::read_dir(version).unwrap().map(|file| file.unwrap().path()));
    files
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let mut request_line = head.lines().next().unwrap().split(' ');
            let method = request_line.next().unwrap().parse().unwrap();
            let target = request_line.next().unwrap();
            let (path, query) = target
                .split_once('?')
                .map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
            Captured {
                file: file.display().to_string(),
                method,
                path: path.to_owned(),
                query,
                body: body.to_owned(),
            }
        })
        .collect()
}

#[test]
fn every_captured_request_is_an_operation_with_a_query_and_a_body_that_pass() {
    let requests = captured_requests();
    assert_eq!(requests.len(), 48, "all captures are read");
    for request in requests {
        let target = match Target::find(&request.method, &request.path) {
            Ok(target) => target,
            Err(ApiError::EnvironmentNotFound) => {
                assert!(
                    request.path.contains("%2F"),
                    "{}: only an id that is none is not found",
                    request.file
                );
                continue;
            }
            Err(error) => panic!("{}: {error}", request.file),
        };
        let operation = target.operation;
        if operation == Operation::List {
            let (query, dropped) = ListQuery::parse(request.query.as_deref()).unwrap();
            assert_eq!(dropped, 0, "{}: every parameter is known", request.file);
            assert_eq!(query.limit, Some(2), "{}", request.file);
        } else {
            beta_only(request.query.as_deref()).unwrap();
        }
        if operation.takes_body() {
            let body = parse_document(request.body.as_bytes()).unwrap();
            for dialect in [&Dialect::SANDBASE, &Dialect::ANTHROPIC] {
                let warnings = dialect.validate(operation, &body, Strictness::default()).unwrap();
                assert!(warnings.is_empty(), "{}", request.file);
            }
        } else {
            assert!(
                matches!(request.body.as_str(), "" | "{}"),
                "{}: {}",
                request.file,
                request.body
            );
        }
    }
}

#[test]
fn the_pages_that_clients_ask_for_are_asked_of_the_upstream_in_the_same_words() {
    for request in captured_requests()
        .iter()
        .filter(|request| request.path == "/v1/environments")
    {
        let Some(query) = &request.query else { continue };
        if request.method == Method::GET {
            let (understood, _) = ListQuery::parse(Some(query)).unwrap();
            let mut anew: Vec<_> = understood
                .to_query_string()
                .split('&')
                .map(str::to_owned)
                .collect();
            let mut came: Vec<_> = query.split('&').map(str::to_owned).collect();
            anew.sort();
            came.sort();
            assert_eq!(anew, came, "{}", request.file);
        }
    }
}
