//! Metrics as Prometheus' own tool reads them.

use crate::common::envgate::Setup;
use envgate_test_servers::prometheus::check_metrics;

/// One request of each kind, so that what is shown only then is there too.
#[test]
#[ignore = "needs Prometheus: make acceptance"]
fn promtool_has_nothing_to_say_of_them() {
    let envgate = Setup::new().set("ENVGATE_TELEMETRY__TENANTS", "3").start();
    assert_eq!(envgate.get("/v1/environments").status, 200);
    assert_eq!(envgate.get("/v1/environments/env_unknown").status, 404);
    assert_eq!(envgate.post("/v1/environments", r#"{"nmae": 1}"#).status, 400);
    assert_eq!(envgate.post("/v1/environments", r#"{"name": "a"}"#).status, 200);
    envgate.expect_metric(
        r#"envgate_request_duration_seconds_count{operation="create"}"#,
        2.0,
    );
    let output = check_metrics(&envgate.admin_get("/metrics").text());
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
