use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::tenancy::TenantId;

#[tokio::test]
async fn the_operator_sees_it_open_and_close() {
    let metrics = crate::telemetry::Metrics::new().unwrap().upstream;
    let pause = Duration::from_millis(20);
    let circuit = Circuit::new(config::Circuit { failures: 1, pause });
    let tenant = TenantId("a".to_owned());
    let sender = Sender::Tenant(&tenant);
    let admit = |sender| circuit.admit(sender, &metrics);
    admit(sender).ok().unwrap().report(Health::Well);
    assert_eq!(metrics.circuit_state.get(), 0);

    admit(sender).ok().unwrap().report(Health::Failing);
    assert_eq!(metrics.circuit_state.get(), 0, "it may be the tenant's own");
    assert!(circuit.probe_wanted().now_or_never().is_some());
    admit(Sender::Probe).ok().unwrap().report(Health::Failing);
    assert!(admit(sender).is_err());
    assert_eq!(
        (metrics.circuit_state.get(), metrics.circuit_opened.get()),
        (2, 1)
    );
    assert_eq!(metrics.circuit_refused.get(), 1);

    while circuit.check(&metrics).is_err() {
        std::thread::yield_now();
    }
    drop(admit(Sender::Probe).ok().unwrap());
    let testing = admit(sender).ok().unwrap();
    assert_eq!(metrics.circuit_state.get(), 1);
    assert!(admit(Sender::Probe).is_err());
    testing.report(Health::Well);
    assert_eq!(
        (metrics.circuit_state.get(), metrics.circuit_opened.get()),
        (0, 1)
    );
}
