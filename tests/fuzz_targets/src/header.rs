//! The header as it goes up: one credential, the operator's, and nothing that is not on the list.

use envgate::contract::BetaRules;
use envgate::telemetry::TraceContext;
use envgate::upstream::request_headers;
use http::{HeaderMap, HeaderName, HeaderValue};

const REQUIRED: HeaderValue = HeaderValue::from_static("managed-agents-2026-04-01");
/// What goes up, once.
const ONCE: [&str; 6] = [
    "traceparent",
    "anthropic-version",
    "anthropic-beta",
    "accept-encoding",
    "anthropic-workspace-id",
    "accept",
];
/// What goes up as it came.
const PASSED: [&str; 3] = ["user-agent", "baggage", "anthropic-worker-id"];

/// Every line that could be a field is one.
pub(super) fn check(bytes: &[u8]) {
    let mut client = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|name| HeaderName::from_bytes(name).ok());
        let value = parts.next().map(<[u8]>::trim_ascii);
        let value = value.and_then(|value| HeaderValue::from_bytes(value).ok());
        if let (Some(name), Some(value)) = (name, value) {
            client.append(name, value);
        }
    }
    let rules = BetaRules {
        required: REQUIRED,
        allowed: None,
    };
    let Ok(betas) = rules.for_upstream(&client) else {
        return;
    };
    check_betas(&rules, &betas);
    let workspace = HeaderValue::from_static("wrkspc_1");
    let trace = TraceContext::of_request(&client);
    let sent = request_headers(&client, betas.clone(), Some(&workspace), Some(&trace));
    let mut up = HeaderMap::new();
    for (name, value) in sent.fields() {
        up.append(
            HeaderName::from_bytes(name).unwrap(),
            HeaderValue::from_bytes(value).unwrap(),
        );
    }
    let line_ends = sent.lines().iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(line_ends, up.len(), "every line is a field");
    for name in ONCE {
        assert_eq!(up.get_all(name).iter().count(), 1, "{name}");
    }
    assert_eq!(up["anthropic-workspace-id"], "wrkspc_1");
    assert_eq!(up["anthropic-beta"], betas);
    assert_eq!(up["accept-encoding"], "identity");
    assert_eq!(up["anthropic-version"].len(), "2023-06-01".len());
    let ours = HeaderValue::from_static("1.1 envgate");
    let via: Vec<_> = client.get_all("via").iter().chain([&ours]).collect();
    assert_eq!(up.get_all("via").iter().collect::<Vec<_>>(), via);
    for (name, value) in &up {
        let name = name.as_str();
        let is_passed = PASSED.contains(&name) || name.starts_with("x-stainless-");
        assert!(
            is_passed || name == "via" || name == "tracestate" || ONCE.contains(&name),
            "{name} went up"
        );
        assert!(
            !is_passed || client.get_all(name).iter().any(|sent| sent == value),
            "{name}"
        );
    }
    // Everything but what the gateway says of itself is the client's.
    let ours: Vec<_> = sent
        .client_values()
        .filter(|value| !client.values().any(|sent| sent.as_bytes() == *value))
        // Several are sent as one.
        .filter(|value| up.get("tracestate").is_none_or(|state| state != value))
        .collect();
    assert!(
        ours.iter()
            .all(|value| [betas.as_bytes(), b"1.1 envgate", b"application/json"].contains(value))
    );
}

fn check_betas(rules: &BetaRules, betas: &HeaderValue) {
    let text = betas.to_str().unwrap();
    let mut names: Vec<&str> = text.split(',').collect();
    assert!(
        names.iter().any(|name| name.starts_with("managed-agents-")),
        "{text}"
    );
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "{text} has a name twice");
    let mut again = HeaderMap::new();
    again.insert("anthropic-beta", betas.clone());
    assert_eq!(rules.for_upstream(&again).unwrap(), betas, "it stays as it is");
}
