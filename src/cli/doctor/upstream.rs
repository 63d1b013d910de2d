//! The upstream: its name, the way to it, whom it shows itself as, and whether it takes the credentials.

use std::io;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::finding::{Finding, Findings};
use crate::cli::upstream_proof::{self, Answer, ProofError};
use crate::config::{Access, Settings, UpstreamService};
use crate::text::clock_ahead;
use crate::upstream::SendError;

const CHECK: &str = "upstream";
const ALL_FAIL: &str = "every request of tenants on such a plan is answered 502";
const NOTHING_GOES_UP: &str = "requests of tenants are answered 503";
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);
/// `Date` has whole seconds.
const DATE_STEP: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

/// Looks at it with one list for each credential and workspace.
pub(super) async fn look(settings: &Settings) -> Findings {
    let Some(service) = &settings.upstream.service else {
        return Finding::ok(
            CHECK,
            "the embedded environments service, which is a part of serve",
        )
        .into();
    };
    let name = look_up(settings, service).await;
    let is_known = name.grade == super::finding::Grade::Ok;
    let mut findings = Findings::from(name);
    if !is_known {
        return findings;
    }
    let origin = match upstream_proof::prepare(settings, service) {
        Ok(origin) => origin,
        Err(error) => {
            let advice = "mend the file or the setting that it names";
            findings
                .list
                .push(Finding::fault(CHECK, error.to_string(), NOTHING_GOES_UP, advice));
            return findings;
        }
    };
    for access in upstream_proof::accesses(settings) {
        match upstream_proof::ask(settings, service, origin.clone(), access).await {
            Ok(answer) => {
                findings.list.push(judge(&answer, access, service));
                if let Some(date) = answer.date {
                    let (before, after) = answer.between;
                    let before = before.checked_sub(DATE_STEP).unwrap_or(before);
                    findings
                        .clocks
                        .push(("the upstream".to_owned(), clock_ahead(date, before, after)));
                }
            }
            Err(error) => {
                findings.list.push(explain(&error, service));
                // The others would take the same way.
                break;
            }
        }
    }
    if let Some(validity) = origin.shown_validity() {
        findings.list.push(match validity.warning(Timestamp::now()) {
            None => Finding::ok(CHECK, format!("its certificate is valid {validity}")),
            Some(warning) => Finding::warning(
                CHECK,
                format!("its certificate {warning}"),
                "from then on no connection to it is made",
                "ask whoever runs it to renew it",
            ),
        });
    }
    findings
}

async fn look_up(settings: &Settings, service: &UpstreamService) -> Finding {
    let (owner, host, port) = match settings.upstream.route.proxying.proxy() {
        Some(proxy) => ("the proxy", proxy.host.clone(), proxy.port),
        None => ("the upstream", service.url.host.clone(), service.url.port),
    };
    let looked_up = timeout(LOOKUP_TIMEOUT, lookup_host((host.as_str(), port))).await;
    let looked_up = looked_up.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
    match looked_up.map(Vec::from_iter) {
        Ok(addresses) if !addresses.is_empty() => {
            let mut ips: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            ips.dedup();
            Finding::ok(CHECK, format!("{owner} {host} is at {}", ips.join(", ")))
        }
        outcome => {
            let reason = outcome
                .err()
                .map_or("it has no address".to_owned(), |error| error.to_string());
            Finding::fault(
                CHECK,
                format!("the name of {owner}, {host}, cannot be looked up: {reason}"),
                NOTHING_GOES_UP,
                "look at its spelling in the settings, and whether this machine has a name server (/etc/resolv.conf) that knows it",
            )
        }
    }
}

fn judge(answer: &Answer, access: Access<'_>, service: &UpstreamService) -> Finding {
    let (url, status, said) = (service.url.to_string(), answer.status.as_u16(), answer.said());
    let found = format!("{url} answers {access} with status {status}{said}");
    if let Some(fault) = answer.fault.filter(|_| answer.status == StatusCode::BAD_REQUEST) {
        return Finding::fault(CHECK, found, ALL_FAIL, fault.to_string());
    }
    match answer.status {
        status if status.is_success() => Finding::ok(CHECK, format!("{url} takes {access}")),
        StatusCode::UNAUTHORIZED => Finding::fault(
            CHECK,
            found,
            ALL_FAIL,
            "make a new key in the upstream's console and put it where the settings take this credential from",
        ),
        StatusCode::FORBIDDEN => Finding::fault(
            CHECK,
            found,
            ALL_FAIL,
            "let the key use environments, the beta (upstream.beta) and the workspace (workspace_id), or take another",
        ),
        StatusCode::PAYMENT_REQUIRED => {
            Finding::fault(CHECK, found, ALL_FAIL, "look at the bills of the organization")
        }
        StatusCode::NOT_FOUND => Finding::fault(
            CHECK,
            found,
            ALL_FAIL,
            "see whether upstream.url and the workspace are right: /v1/environments has to stand below that URL",
        ),
        status if status.is_redirection() => Finding::fault(
            CHECK,
            found,
            "no redirect is followed, because the credential would go with it",
            "let upstream.url name the place itself",
        ),
        StatusCode::TOO_MANY_REQUESTS => Finding::warning(
            CHECK,
            found,
            "its limit is spent for the moment, maybe by others than this gateway",
            "compare the limits in [budgets] with what the upstream allows",
        ),
        status if status.is_server_error() => Finding::warning(
            CHECK,
            found,
            "it is there and has trouble of its own; after several failures requests are held back for a while",
            "wait, or ask whoever runs it",
        ),
        _ => Finding::fault(
            CHECK,
            found,
            ALL_FAIL,
            "see whether upstream.url names an environments service",
        ),
    }
}

/// Why no answer came.
fn explain(error: &ProofError, service: &UpstreamService) -> Finding {
    let found = format!("{}: {error}", service.url);
    let advice = match error {
        ProofError::SetUp(_) | ProofError::Path(_) => "mend the setting that it names",
        ProofError::Send(SendError::Unreachable(error)) if error.kind() == io::ErrorKind::InvalidData => {
            "its certificate is not trusted: look at the clock of this machine, at upstream.ca_file or \
             upstream.pinned_certificate, and whether something between opens TLS"
        }
        ProofError::Send(SendError::Unreachable(_)) => {
            "look whether it runs, whether upstream.url has the right host and port, and whether this machine may go out there"
        }
        ProofError::Send(SendError::ConnectTimeout(_)) => {
            "something drops what goes there: look at firewalls and network policies, or set upstream.proxy"
        }
        ProofError::Send(SendError::Proxy(_)) => {
            "look at upstream.proxy: its host, its port, and whether it lets this machine through"
        }
        ProofError::Send(SendError::OutOfResources(_)) => {
            "raise the limit of descriptors, or look what takes the ports"
        }
        ProofError::Send(SendError::Timeout(_)) => {
            "it takes the request and does not answer: ask whoever runs it"
        }
        ProofError::Send(_) => {
            "what answers is no environments service, or breaks off: look whether upstream.url is right"
        }
    };
    Finding::fault(CHECK, found, NOTHING_GOES_UP, advice)
}
