//! A budget that replicas count in Redis.

use envgate_test_servers::redis::Redis;

use super::{apply, in_front_of};
use crate::common::envgate::Envgate;
use crate::common::upstream::{Then, Upstream};

#[test]
fn its_limits_become_others_and_what_was_spent_together_counts() {
    let redis = Redis::start();
    let upstream = Upstream::always(Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#));
    let text = |limit: u32| {
        format!(
            "[budgets.default]\nrequests_per_minute = {limit}\n[quota]\nreplicas = 2\nredis = \"{}\"\n",
            redis.url()
        )
    };
    let start = || {
        let setup = in_front_of(&upstream, &text(4));
        setup.set("ENVGATE_UPSTREAM__TIMEOUT", "1s").start()
    };
    let replicas = [start(), start()];
    for replica in &replicas {
        replica.expect_metric(r#"envgate_budget_replicas{budget="default"}"#, 2.0);
    }
    let list = |replica: &Envgate| {
        let request = replica.request("GET", "/v1/environments");
        request.header("cache-control", "no-store").send().status
    };
    for replica in replicas.iter().cycle().take(4) {
        assert_eq!(list(replica), 200);
    }
    assert_eq!(list(&replicas[0]), 429);
    for replica in &replicas {
        apply(replica, &text(6));
    }
    for replica in &replicas {
        assert_eq!(list(replica), 200);
        assert_eq!(
            replica.metric(r#"envgate_budget_redis_up{budget="default"}"#),
            1.0
        );
    }
    assert_eq!(list(&replicas[1]), 429, "four had been spent before");
    assert_eq!(upstream.seen().len(), 6);
}
