//! What one replica learns from the upstream all go by.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, Setup, eventually, pause};
use crate::common::upstream::{Then, Upstream};
use envgate_test_servers::redis::Redis;

const WINDOW: Duration = Duration::from_secs(4);
const LEARNED_READS: &str = r#"envgate_budget_learned_limit{budget="default",kind="reads"}"#;

fn retrieve(envgate: &Envgate) -> Response {
    Request::new(envgate.gateway, "GET", "/v1/environments/env_1")
        .header("x-api-key", &envgate.key)
        .header("cache-control", "no-store")
        .send()
}

#[test]
fn what_was_accepted_of_all_replicas_becomes_the_limit_of_all() {
    let is_full = Arc::new(AtomicBool::new(false));
    let refuses = Arc::clone(&is_full);
    let upstream = Upstream::start(move |_, _| {
        if refuses.swap(false, Ordering::SeqCst) {
            return Then::respond("429 Slow Down", &[("retry-after-ms", "500")], "{}");
        }
        Then::environment()
    });
    let redis = Redis::start();
    let settings = format!(
        "[quota]\nreplicas = 2\nredis = \"{}\"\nwindow = \"{}s\"\n",
        redis.url(),
        WINDOW.as_secs()
    );
    let gateways = [(), ()].map(|()| {
        let setup = Setup::new().upstream(upstream.address);
        let setup = setup.set("ENVGATE_UPSTREAM__TIMEOUT", "2s");
        setup.file(&settings).start()
    });
    // Before a whole window lies behind nothing is learned.
    pause(WINDOW);
    for gateway in &gateways {
        for _ in 0..13 {
            assert_eq!(retrieve(gateway).status, 200);
        }
    }
    // Until both have told Redis.
    pause(WINDOW / 3);
    is_full.store(true, Ordering::SeqCst);
    retrieve(&gateways[0]).expect_error(429, "rate_limit_error");
    for gateway in &gateways {
        eventually("it is learned", || gateway.metric(LEARNED_READS) == 26.0);
        gateway.expect_metric(r#"envgate_budget_limit{budget="default",limit="reads"}"#, 26.0);
    }
    let (one, two) = (&gateways[0], &gateways[1]);
    let mut statuses: Vec<_> = (0..14)
        .flat_map(|_| [one, two].map(|g| retrieve(g).status))
        .collect();
    statuses.sort_unstable();
    assert!(
        statuses.contains(&429),
        "who was accepted before counts: {statuses:?}"
    );
}
