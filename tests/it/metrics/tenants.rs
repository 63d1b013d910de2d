//! The busiest tenants by name.

use crate::common::client::Request;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::reload;

fn count(envgate: &Envgate, tenant: &str) -> f64 {
    envgate.metric(&format!(
        r#"envgate_tenant_requests_total{{status="2xx",tenant="{tenant}"}}"#
    ))
}

fn ask(envgate: &Envgate, key: &str, times: usize) {
    let request = Request::new(envgate.gateway, "GET", "/v1/environments").header("x-api-key", key);
    eventually("the gateway knows the key", || request.send().status == 200);
    for _ in 1..times {
        assert_eq!(request.send().status, 200);
    }
}

#[test]
fn there_is_no_tenant_in_metrics_unless_somebody_wants_it() {
    let envgate = Envgate::start();
    assert_eq!(envgate.get("/v1/environments").status, 200);
    envgate.expect_metric(r#"envgate_request_duration_seconds_count{operation="list"}"#, 1.0);
    assert!(
        !envgate
            .admin_get("/metrics")
            .text()
            .contains("envgate_tenant_requests_total")
    );
}

#[test]
fn a_reload_names_more_or_none_and_no_count_goes_down() {
    const ONE: &str = "telemetry.tenants = 1\n";
    let envgate = reload::setup(ONE).start();
    let busy = envgate.run_well(&["tenants", "create", "busy"]);
    drop(busy);
    let key = envgate.run_well(&["keys", "create", "--tenant", "busy", "--quiet"]);
    ask(&envgate, &key, 3);
    eventually("all are counted", || count(&envgate, "busy") >= 3.0);
    assert_eq!(envgate.get("/v1/environments").status, 200);
    eventually("the other too", || count(&envgate, "other") >= 1.0);

    reload::apply(&envgate, "telemetry.tenants = 2\n");
    assert_eq!(envgate.get("/v1/environments").status, 200);
    eventually("it has a name now", || count(&envgate, "demo") >= 1.0);
    assert_eq!((count(&envgate, "busy"), count(&envgate, "other")), (3.0, 1.0));

    reload::apply(&envgate, "telemetry.tenants = 0\n");
    assert!(
        !envgate
            .admin_get("/metrics")
            .text()
            .contains("envgate_tenant_requests_total")
    );
    ask(&envgate, &key, 5);
    let counted = r#"envgate_request_duration_seconds_count{operation="list"}"#;
    eventually("they are counted", || envgate.metric(counted) >= 10.0);
    reload::apply(&envgate, ONE);
    eventually("it is there again", || count(&envgate, "busy") >= 3.0);
    assert_eq!(
        count(&envgate, "busy"),
        3.0,
        "what came while nobody looked is no burst"
    );
}

#[test]
fn more_tenants_than_may_be_named_is_a_fault_of_the_settings() {
    let output = Setup::new()
        .set("ENVGATE_TELEMETRY__TENANTS", "1001")
        .run(&["check"]);
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && told.contains("from 0 to 1000"),
        "{told}"
    );
}
