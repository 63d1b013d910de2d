//! The Fetch standard, §3.3: what a browser asks before a page may read an answer (CORS).

use super::probe::Probe;
use crate::common::client::{Request, Response};

const PATH: &str = "/v1/environments/env_1";
const APP: &str = "https://app.example.com";

fn with_origins(origins: &str) -> Probe {
    Probe::with(|setup| setup.set("ENVGATE_CORS__ALLOWED_ORIGINS", origins))
}

fn preflight(probe: &Probe, origin: &str) -> Response {
    Request::new(probe.envgate.gateway, "OPTIONS", PATH)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
        .send()
}

fn vary(response: &Response) -> Vec<&str> {
    let values = response.headers.iter().filter(|(name, _)| name == "vary");
    values.flat_map(|(_, value)| value.split(", ")).collect()
}

#[test]
fn without_a_setting_no_page_may_read_anything() {
    let probe = Probe::start();
    for response in [
        preflight(&probe, APP),
        probe.envgate.request("GET", PATH).header("origin", APP).send(),
    ] {
        assert!(
            response
                .headers
                .iter()
                .all(|(name, _)| !name.starts_with("access-control-")),
            "{response:?}"
        );
    }
}

#[test]
fn section_3_3_a_listed_origin_is_told_what_it_may_send_and_read() {
    let probe = with_origins("http://localhost:3000,https://app.example.com");
    let told = preflight(&probe, APP);
    assert_eq!(told.status, 204);
    assert_eq!(told.header("access-control-allow-origin"), Some(APP));
    assert_eq!(
        told.header("access-control-allow-methods"),
        Some("DELETE, GET, HEAD, OPTIONS, POST")
    );
    assert_eq!(
        told.header("access-control-allow-headers"),
        Some("authorization, *")
    );
    assert_eq!(told.header("access-control-max-age"), Some("600"));
    assert_eq!(told.header("access-control-allow-credentials"), None);
    assert!(vary(&told).contains(&"origin"));

    let get = |key: &str| {
        let request = Request::new(probe.envgate.gateway, "GET", PATH).header("x-api-key", key);
        request.header("origin", APP).send()
    };
    for (response, status) in [(get(&probe.envgate.key), 200), (get("sk-eg-x"), 401)] {
        assert_eq!(response.status, status);
        assert_eq!(
            response.header("access-control-allow-origin"),
            Some(APP),
            "errors can be read too"
        );
        let exposed = response.header("access-control-expose-headers").unwrap();
        for name in [
            "request-id",
            "retry-after",
            "x-should-retry",
            "anthropic-ratelimit-requests-remaining",
        ] {
            assert!(exposed.split(", ").any(|exposed| exposed == name), "{exposed}");
        }
        assert_eq!(response.header("access-control-allow-methods"), None);
        assert!(vary(&response).contains(&"origin") && vary(&response).contains(&"authorization"));
    }
}

#[test]
fn section_3_3_another_origin_is_told_nothing() {
    let probe = with_origins(APP);
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
        "",
    ] {
        let told = preflight(&probe, origin);
        assert_eq!(told.status, 204, "{origin}");
        let says_more = |(name, _): &(String, String)| name.starts_with("access-control-");
        assert!(!told.headers.iter().any(says_more), "{origin}: {told:?}");
        assert!(
            vary(&told).contains(&"origin"),
            "a cache has to know all the same"
        );
    }
    let twice = probe
        .envgate
        .request("GET", PATH)
        .header("origin", APP)
        .header("origin", APP);
    assert_eq!(twice.send().header("access-control-allow-origin"), None);
}

#[test]
fn section_3_3_a_star_is_for_every_origin_and_never_for_what_a_browser_sends_by_itself() {
    let probe = with_origins("*");
    let told = preflight(&probe, "https://anything.example");
    assert_eq!(told.header("access-control-allow-origin"), Some("*"));
    assert_eq!(told.header("access-control-allow-credentials"), None);
    let plain = probe.envgate.get(PATH);
    assert_eq!(plain.header("access-control-allow-origin"), None, "nobody asked");
    let unknown = Request::new(probe.envgate.gateway, "OPTIONS", "/nowhere").header("origin", APP);
    unknown.send().expect_error(404, "not_found");
}
