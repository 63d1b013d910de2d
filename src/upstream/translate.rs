use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT, VIA,
};

use crate::contract::BETA;

/// The header that carries a credential to the upstream.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Which version of the API is spoken; every translated header has it.
pub const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const WORKSPACE: HeaderName = HeaderName::from_static("anthropic-workspace-id");

/// The version that the published contract names.
const DEFAULT_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Headers that go up as they came. All others stay here, a client's credentials first of all.
const PASSED: [HeaderName; 5] = [
    USER_AGENT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("anthropic-worker-id"),
];
/// A gateway says that a message came through it.
const OUR_VIA: HeaderValue = HeaderValue::from_static("1.1 envgate");
const PASSED_PREFIX: &str = "x-stainless-";

/// What every request to one upstream carries.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The upstream's authority.
    pub host: HeaderValue,
    /// The operator's credential, marked sensitive.
    pub credential: HeaderValue,
}

impl Translation {
    /// Puts this credential in the place of another one.
    pub fn renew(&self, headers: &mut HeaderMap) {
        headers.insert(API_KEY, self.credential.clone());
    }
}

/// Translates a client's header for the upstream: one `X-Api-Key`, the operator's; one `anthropic-version`;
/// `betas` as `anthropic-beta`; `via`, appended to; `workspace_id`, if there is one, as `anthropic-workspace-id`,
/// which is never the client's to choose; what is on the allow list; nothing else. Whoever sends a body tells
/// its type.
#[must_use]
pub fn request_headers(
    client: &HeaderMap,
    betas: HeaderValue,
    workspace_id: Option<&HeaderValue>,
    translation: &Translation,
) -> HeaderMap {
    debug_assert!(!PASSED.contains(&AUTHORIZATION) && !PASSED.contains(&API_KEY));
    let mut headers = HeaderMap::with_capacity(24);
    headers.insert(HOST, translation.host.clone());
    headers.insert(API_KEY, translation.credential.clone());
    headers.insert(VERSION, version(client));
    headers.insert(BETA, betas);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(id) = workspace_id {
        headers.insert(WORKSPACE, id.clone());
    }
    let accept = client
        .get(ACCEPT)
        .cloned()
        .unwrap_or(HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, accept);
    // Whoever stands before us comes first (RFC 9110 §7.6.3).
    for value in client.get_all(VIA) {
        headers.append(VIA, value.clone());
    }
    headers.append(VIA, OUR_VIA);
    for (name, value) in client {
        if PASSED.contains(name) || name.as_str().starts_with(PASSED_PREFIX) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// What of a translated header the client has written: a text of the upstream's may repeat it.
#[must_use]
pub fn client_values(translated: &HeaderMap) -> Vec<HeaderValue> {
    let is_clients = |name: &HeaderName| {
        *name == BETA
            || *name == ACCEPT
            || *name == VIA
            || PASSED.contains(name)
            || name.as_str().starts_with(PASSED_PREFIX)
    };
    let values = translated.iter().filter(|(name, _)| is_clients(name));
    values.map(|(_, value)| value.clone()).collect()
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
        request_headers(
            &map,
            HeaderValue::from_static("managed-agents-2026-04-01"),
            workspace,
            &translation,
        )
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
    fn our_name_is_appended_to_those_a_message_came_through() {
        assert_eq!(only(&translated(&[]), "via"), "1.1 envgate");
        let headers = translated(&[("via", "1.0 fred"), ("via", "1.1 p.example.net")]);
        let via: Vec<_> = headers.get_all("via").iter().collect();
        assert_eq!(via, ["1.0 fred", "1.1 p.example.net", "1.1 envgate"]);
    }
}
