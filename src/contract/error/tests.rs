use std::collections::BTreeSet;

use super::*;
use crate::contract::{Dialect, DocumentFaultKind, SHOULD_RETRY};

const PAGE: &str = include_str!("../../../docs/errors.md");

/// Each kind of error, with all that its status or its advice depends on.
fn samples() -> Vec<ApiError> {
    let second = Duration::from_secs(1);
    let violations = Violations {
        told: Vec::new(),
        total: 1,
    };
    let mut samples = vec![
        ApiError::UnknownPath,
        ApiError::EnvironmentNotFound,
        ApiError::MethodNotAllowed { allow: "GET" },
        ApiError::unauthenticated(AuthenticationFailure::Missing),
        ApiError::TooManyUnknownKeys { retry_after: second },
        ApiError::TooManyInFlight,
        ApiError::Forbidden(String::new()),
        ApiError::PlanNotConfigured,
        ApiError::InvalidChange(MergeError::Archived),
        ApiError::Policy(violations.clone()),
        ApiError::BadRequest("".into()),
        ApiError::Malformed(MalformedRequest::Syntax),
        ApiError::Malformed(MalformedRequest::Late(second)),
        ApiError::Malformed(MalformedRequest::Connect),
        ApiError::Malformed(MalformedRequest::TargetTooLong),
        ApiError::Malformed(MalformedRequest::TooManyFields),
        ApiError::Malformed(MalformedRequest::TransferCoding),
        ApiError::Malformed(MalformedRequest::Version),
        ApiError::ExpectationFailed,
        ApiError::HeaderTooLarge { limit: 1 },
        ApiError::BadQuery {
            name: "limit",
            problem: "",
        },
        ApiError::UnexpectedBody,
        ApiError::BodyTooLarge { limit: 1 },
        ApiError::BodyTimeout(second),
        ApiError::UnsupportedMediaType(""),
        ApiError::UnsupportedContentEncoding,
        ApiError::Document(DocumentFault {
            kind: DocumentFaultKind::InvalidJson,
            message: String::new(),
            line: 1,
            column: 1,
            offset: 0,
        }),
        ApiError::Violations(violations),
        ApiError::NotReady,
        ApiError::CircuitOpen { retry_after: second },
        ApiError::TenantLimit { retry_after: second },
        ApiError::UpstreamLimit { retry_after: second },
        ApiError::ListUnfinished,
        ApiError::EnvironmentBusy,
        ApiError::UpstreamUnreachable,
        ApiError::UpstreamProxy,
        ApiError::OutOfResources,
        ApiError::UpstreamConnectTimeout,
        ApiError::UpstreamCredential,
        ApiError::ClientGone,
        ApiError::AnswerNotTaken,
        ApiError::Internal,
    ];
    for after_write in [false, true] {
        samples.push(ApiError::UpstreamTimeout { after_write });
        samples.push(ApiError::UpstreamBroken { after_write });
        for reason in [ReplyError::NotAnObject, ReplyError::Redirect] {
            samples.push(ApiError::UpstreamReply { reason, after_write });
        }
    }
    samples
}

/// The column *again* of the page, as it follows from the answers.
fn advice(kind: &str, samples: &[&ApiError]) -> &'static str {
    let said: BTreeSet<Option<String>> = samples
        .iter()
        .map(|error| {
            let headers = error.answer(&Dialect::SANDBASE, "req_1").headers;
            let advice = headers.into_iter().find(|(name, _)| *name == SHOULD_RETRY);
            advice.map(|(_, value)| value.to_str().unwrap().to_owned())
        })
        .collect();
    let said: Vec<_> = said.iter().map(Option::as_deref).collect();
    match said[..] {
        [None] => "",
        [Some("true")] => "yes",
        [Some("false")] => "no",
        [None, Some("false")] if kind == "malformed" => "501, 505: no",
        [None, Some("false")] => "after a write: no",
        _ => panic!("the page has no words for {said:?}"),
    }
}

#[test]
fn the_page_of_errors_says_of_every_kind_its_status_and_whether_to_try_again() {
    let samples = samples();
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .skip_while(|line| !line.starts_with("| kind |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let told: Vec<_> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let kinds = BTreeSet::from(ApiError::KINDS);
    assert_eq!(told.iter().copied().collect::<BTreeSet<_>>(), kinds);
    assert_eq!(told.len(), kinds.len(), "none is there twice");

    for (kind, row) in told.into_iter().zip(&rows) {
        // Their status is the upstream's, or that of the answer that nobody took.
        if ["upstream", "answer_not_taken"].contains(&kind) {
            continue;
        }
        let samples: Vec<_> = samples.iter().filter(|sample| sample.kind() == kind).collect();
        assert!(!samples.is_empty(), "{kind}: this test needs a sample");
        let statuses: BTreeSet<_> = samples.iter().map(|sample| sample.status().as_u16()).collect();
        let told: BTreeSet<u16> = row[1]
            .split(|other: char| !other.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        // Of an answer that was begun the status is the answer's own.
        if kind != "answer_not_taken" {
            assert_eq!(told, statuses, "{kind}");
        }
        assert_eq!(row[3], advice(kind, &samples), "{kind}");
    }
}
