//! OpenMetrics, as somebody else's parser understands it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{WRONG, scrape};
use crate::common::client::Request;
use crate::common::envgate::{Envgate, Setup};

const OPENMETRICS: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What the parser of Prometheus' own Python client makes of a text; it takes nothing that the standard forbids.
fn parse(text: &str) -> Vec<Value> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = project.join(".venv/metrics/bin/python");
    assert!(
        python.exists(),
        "prometheus_client is missing: `scripts/setup test` installs it"
    );
    let mut parser = Command::new(python)
        .arg(project.join("tests/clients/python/openmetrics.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{fault}\n{text}");
    let told = String::from_utf8(output.stdout).unwrap();
    told.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn find<'f>(families: &'f [Value], name: &str) -> &'f Value {
    let family = families.iter().find(|family| family["name"] == name);
    family.unwrap_or_else(|| panic!("{name} is not there"))
}

#[test]
fn an_independent_parser_reads_all_of_it_and_finds_the_trace_of_a_request_in_its_buckets() {
    let name = "quoted \" backslash \\ {tenant=\"x\"} 1 # {trace_id=\"y\"} 2";
    let setup = Setup::new().set("ENVGATE_TELEMETRY__TENANTS", "5");
    let envgate = setup.start();
    envgate.run_well(&["tenants", "create", name]);
    let key = envgate.run_well(&["keys", "create", "--tenant", name, "--quiet"]);
    let request = Request::new(envgate.gateway, "GET", "/v1/environments")
        .header("x-api-key", &key)
        .header("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-00"));
    crate::common::envgate::eventually("the gateway knows the key", || request.send().status == 200);
    assert_eq!(envgate.post("/v1/environments/env_1", WRONG).status, 400);
    envgate.expect_metric(
        r#"envgate_request_duration_seconds_count{operation="update"}"#,
        1.0,
    );

    let answer = scrape(&envgate, OPENMETRICS);
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert_eq!(answer.header("vary"), Some("accept"));
    let families = parse(&answer.text());

    let requests = find(&families, "envgate_requests");
    assert_eq!(requests["type"], "counter");
    assert_eq!(requests["samples"][0]["name"], "envgate_requests_total");
    assert_eq!(find(&families, "process_cpu_seconds")["unit"], "seconds");
    let tenants = find(&families, "envgate_tenant_requests")["samples"]
        .as_array()
        .unwrap();
    let mut names = tenants
        .iter()
        .map(|sample| sample["labels"]["tenant"].as_str().unwrap());
    assert!(names.any(|told| told == name), "{tenants:?}");

    for name in [
        "envgate_request_duration_seconds",
        "envgate_overhead_duration_seconds",
        "envgate_upstream_duration_seconds",
    ] {
        let samples = find(&families, name)["samples"].as_array().unwrap();
        let of_list = samples
            .iter()
            .filter(|sample| sample["labels"]["operation"] == "list");
        let exemplars: Vec<_> = of_list
            .filter_map(|sample| sample["exemplar"].as_array())
            .collect();
        assert!(!exemplars.is_empty(), "{name}");
        assert!(
            exemplars.iter().all(|exemplar| exemplar[0]["trace_id"] == TRACE),
            "{name}: {exemplars:?}"
        );
    }
}

#[test]
fn the_format_is_what_the_scraper_wants_most_and_all_can_read_where_it_says_nothing_good() {
    let envgate = Envgate::start();
    for accept in [
        "",
        "*/*",
        "text/plain",
        "application/openmetrics-text;q=0",
        ";;q=,/",
        "application/openmetrics-text;version=7",
    ] {
        let answer = scrape(&envgate, accept);
        assert_eq!(answer.status, 200, "{accept}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; version=0.0.4"),
            "{accept}"
        );
        assert!(!answer.text().contains("# EOF"));
    }
    for accept in [
        "application/openmetrics-text",
        "text/plain;q=0.1, application/openmetrics-text;q=0.2",
    ] {
        assert!(scrape(&envgate, accept).text().ends_with("# EOF\n"), "{accept}");
    }
}

#[test]
fn head_tells_the_type_and_sends_nothing() {
    let envgate = Envgate::start();
    let request = Request::new(envgate.admin, "HEAD", "/metrics")
        .header("accept", OPENMETRICS)
        .header("connection", "close");
    let mut connection = crate::common::client::Connection::open(envgate.admin);
    connection.write(&request.bytes());
    let head = connection.read_head();
    assert_eq!(head.status, 200);
    assert!(
        head.header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(connection.is_closed());
}
