use std::fmt;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT, VIA,
};

use crate::contract::BETA;
use crate::telemetry::{TRACEPARENT, TRACESTATE, TraceContext};

/// The header that carries a credential to the upstream.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Which version of the API is spoken; every translated header has it.
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const WORKSPACE: HeaderName = HeaderName::from_static("anthropic-workspace-id");

/// The version that the published contract names.
const DEFAULT_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Headers that go up as they came. All others stay here, a client's credentials first of all.
static PASSED: [HeaderName; 3] = [
    USER_AGENT,
    HeaderName::from_static("baggage"),
    HeaderName::from_static("anthropic-worker-id"),
];
/// A gateway says that a message came through it.
const OUR_VIA: &[u8] = b"1.1 envgate";
const PASSED_PREFIX: &str = "x-stainless-";

/// What every request to one upstream carries.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The upstream's authority.
    pub host: HeaderValue,
    /// The operator's credential, marked sensitive.
    pub credential: HeaderValue,
}

/// A client's header, translated: the lines of it as they are sent, each with its end. Host and credential are with
/// the [`Translation`] of whom it is sent to.
#[derive(Clone)]
pub struct UpstreamHeader {
    lines: Vec<u8>,
    /// The version that it asks for.
    pub version: HeaderValue,
    /// The betas that it asks for.
    pub betas: HeaderValue,
    /// Where in the lines the span stands that the upstream is to see as its caller.
    span_at: Option<usize>,
}

/// Most headers fit: they are a dozen short lines of an SDK's.
const FIRST_BYTES: usize = 1024;

/// Translates a client's header for the upstream: one `anthropic-version`; `betas` as `anthropic-beta`; `via`,
/// appended to; `workspace_id`, if there is one, as `anthropic-workspace-id`, which is never the client's to choose;
/// the `trace` that it belongs to; what is on the allow list; nothing else. Whoever sends it adds host, credential, and the type of a body.
#[must_use]
pub fn request_headers(
    client: &HeaderMap,
    betas: HeaderValue,
    workspace_id: Option<&HeaderValue>,
    trace: Option<&TraceContext>,
) -> UpstreamHeader {
    debug_assert!(!PASSED.contains(&AUTHORIZATION) && !PASSED.contains(&API_KEY));
    let mut header = UpstreamHeader {
        lines: Vec::with_capacity(FIRST_BYTES),
        version: version(client),
        betas,
        span_at: None,
    };
    let (version, betas) = (header.version.clone(), header.betas.clone());
    header.add(&VERSION, version.as_bytes());
    header.add(&BETA, betas.as_bytes());
    header.add(&ACCEPT_ENCODING, b"identity");
    if let Some(id) = workspace_id {
        header.add(&WORKSPACE, id.as_bytes());
    }
    header.add(
        &ACCEPT,
        client
            .get(ACCEPT)
            .map_or(b"application/json", HeaderValue::as_bytes),
    );
    // Whoever stands before us comes first (RFC 9110 §7.6.3).
    for value in client.get_all(VIA) {
        header.add(&VIA, value.as_bytes());
    }
    header.add(&VIA, OUR_VIA);
    if let Some(trace) = trace {
        header.add_trace(trace, client);
    }
    for (name, value) in client {
        if is_passed(name) {
            header.add(name, value.as_bytes());
        }
    }
    header
}

impl UpstreamHeader {
    /// The lines as they are sent.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Names and values in their order. No value has the end of a line in it.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = self.lines.split(|byte| *byte == b'\n');
        lines.filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            Some((name, value.strip_prefix(b": ")?))
        })
    }

    /// What of it the client has written: a text of the upstream's may repeat it.
    pub fn client_values(&self) -> impl Iterator<Item = &[u8]> {
        let is_clients = |name: &[u8]| {
            let name = HeaderName::from_bytes(name);
            let told = [BETA, ACCEPT, VIA, TRACESTATE];
            name.is_ok_and(|name| told.contains(&name) || is_passed(&name))
        };
        self.fields()
            .filter(move |(name, _)| is_clients(name))
            .map(|(_, value)| value)
    }

    /// Where in the lines the span stands that the upstream is to see as its caller.
    pub(super) const fn span_at(&self) -> Option<usize> {
        self.span_at
    }

    fn add(&mut self, name: &HeaderName, value: &[u8]) {
        add_line(&mut self.lines, name, value);
    }

    /// Adds the trace: what the client said of it is not passed on as it came, but read and written anew.
    fn add_trace(&mut self, trace: &TraceContext, client: &HeaderMap) {
        let Some(traceparent) = trace.traceparent() else {
            return;
        };
        self.add(&TRACEPARENT, &traceparent);
        let after_span = traceparent.len() - TraceContext::span_at() + b"\r\n".len();
        self.span_at = self.lines.len().checked_sub(after_span);
        let mut members = trace.tracestate(client);
        if let Some(first) = members.next() {
            self.add(&TRACESTATE, first.as_bytes());
            for member in members {
                self.lines.truncate(self.lines.len() - b"\r\n".len());
                for part in [",", member, "\r\n"] {
                    self.lines.extend_from_slice(part.as_bytes());
                }
            }
        }
    }
}

impl Translation {
    /// Adds what every request has.
    pub(super) fn add_lines(&self, lines: &mut Vec<u8>) {
        add_line(lines, &HOST, self.host.as_bytes());
        add_line(lines, &API_KEY, self.credential.as_bytes());
    }
}

fn add_line(lines: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        lines.extend_from_slice(part);
    }
}

/// What clients send is nobody's business.
impl fmt::Debug for UpstreamHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamHeader").finish_non_exhaustive()
    }
}

/// Whether a client's header goes up as it came.
fn is_passed(name: &HeaderName) -> bool {
    PASSED.contains(name) || name.as_str().starts_with(PASSED_PREFIX)
}

/// The client's version where it looks like a date.
fn version(client: &HeaderMap) -> HeaderValue {
    match client.get(VERSION) {
        Some(value) if is_date(value.as_bytes()) => value.clone(),
        _ => DEFAULT_VERSION,
    }
}

fn is_date(bytes: &[u8]) -> bool {
    const SHAPE: &[u8; 10] = b"0000-00-00";
    bytes.len() == SHAPE.len()
        && bytes.iter().zip(SHAPE).all(|(byte, shape)| match shape {
            b'-' => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes up, as a map of headers.
    fn translated(client: &[(&'static str, &'static str)]) -> HeaderMap {
        translated_for(None, client)
    }

    fn translated_for(workspace: Option<&HeaderValue>, client: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in client {
            map.append(*name, value.parse().unwrap());
        }
        let translation = Translation {
            host: HeaderValue::from_static("api.example.com"),
            credential: HeaderValue::from_static("sk-operator"),
        };
        let betas = HeaderValue::from_static("managed-agents-2026-04-01");
        let trace = TraceContext::of_request(&map);
        let mut header = request_headers(&map, betas, workspace, Some(&trace));
        translation.add_lines(&mut header.lines);
        assert!(header.client_values().all(|value| value != b"sk-operator"));
        let fields = header.fields().map(|(name, value)| {
            let name = HeaderName::from_bytes(name).unwrap();
            (name, HeaderValue::from_bytes(value).unwrap())
        });
        let mut up = HeaderMap::new();
        fields.for_each(|(name, value)| {
            up.append(name, value);
        });
        up
    }

    fn only<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name}: {values:?}");
        values[0].to_str().unwrap()
    }

    #[test]
    fn the_clients_credentials_stay_here() {
        let headers = translated(&[
            ("authorization", "Bearer sk-eg-1"),
            ("x-api-key", "sk-eg-1"),
            ("cookie", "a=b"),
            ("anthropic-workspace-id", "w"),
            ("x-forwarded-for", "10.0.0.1"),
        ]);
        assert_eq!(only(&headers, "x-api-key"), "sk-operator");
        for name in [
            "authorization",
            "cookie",
            "anthropic-workspace-id",
            "x-forwarded-for",
        ] {
            assert!(!headers.contains_key(name), "{name} went up");
        }
    }

    #[test]
    fn the_workspace_is_the_plans() {
        let plans = HeaderValue::from_static("wrkspc_1");
        let headers = translated_for(Some(&plans), &[("anthropic-workspace-id", "wrkspc_2")]);
        assert_eq!(only(&headers, "anthropic-workspace-id"), "wrkspc_1");
    }

    #[test]
    fn the_version_is_the_clients_where_it_looks_like_a_date() {
        assert_eq!(
            only(
                &translated(&[("anthropic-version", "2026-10-21")]),
                "anthropic-version"
            ),
            "2026-10-21"
        );
        assert_eq!(
            only(
                &translated(&[("anthropic-version", "latest")]),
                "anthropic-version"
            ),
            "2023-06-01"
        );
        assert_eq!(only(&translated(&[]), "anthropic-version"), "2023-06-01");
    }

    #[test]
    fn what_tells_of_the_client_and_its_trace_goes_up() {
        let client = [
            ("user-agent", "Anthropic/Python 2.12.0"),
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
            ("x-stainless-retry-count", "1"),
            ("anthropic-worker-id", "w1"),
        ];
        let headers = translated(&client);
        for (name, value) in client {
            assert_eq!(only(&headers, name), value);
        }
        assert_eq!(only(&headers, "accept-encoding"), "identity");
    }

    #[test]
    fn what_is_no_trace_does_not_go_up_and_what_is_one_goes_up_in_one_line() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let headers = translated(&[
            ("traceparent", parent),
            ("tracestate", "a=1"),
            ("tracestate", "b=2,c=3"),
        ]);
        assert_eq!(only(&headers, "traceparent"), parent);
        assert_eq!(only(&headers, "tracestate"), "a=1,b=2,c=3");
        let headers = translated(&[("traceparent", "Bearer sk-1"), ("tracestate", "a=1")]);
        assert_eq!(only(&headers, "traceparent").len(), parent.len());
        assert!(!headers.contains_key("tracestate"));
    }

    #[test]
    fn our_name_is_appended_to_those_a_message_came_through() {
        assert_eq!(only(&translated(&[]), "via"), "1.1 envgate");
        let headers = translated(&[("via", "1.0 fred"), ("via", "1.1 p.example.net")]);
        let via: Vec<_> = headers.get_all("via").iter().collect();
        assert_eq!(via, ["1.0 fred", "1.1 p.example.net", "1.1 envgate"]);
    }
}
