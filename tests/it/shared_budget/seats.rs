//! Who may go on without Redis: as many replicas as are configured, whoever else comes.

use std::sync::Arc;

use super::gateways::{Traffic, gateway};
use super::replicas::{LEASE, LIMIT, Replica, SPAN, Upstream, Wire};
use crate::common::envgate::{Setup, eventually, pause};
use envgate_test_servers::redis::Redis;

/// One comes and one goes, twice; then one of the new ones loses Redis.
#[test]
fn a_rolling_update_with_surge_and_a_replica_that_then_loses_redis_stay_within_the_limit() {
    let redis = Redis::start();
    let wire = Wire::to(redis.socket());
    let upstream = Arc::new(Upstream::default());
    let start = |url: &str| {
        let replica = Replica::start(url);
        replica.drive(20, &upstream);
        replica
    };
    let old = [start(&redis.url()), start(&redis.url())];
    old.iter().for_each(Replica::await_seat);
    let urls = [wire.url(), redis.url()];
    let new: Vec<_> = old
        .into_iter()
        .zip(urls)
        .map(|(old, url)| {
            let new = start(&url);
            pause(SPAN);
            old.stop();
            new.await_seat();
            new
        })
        .collect();
    pause(SPAN);
    wire.set_cut(true);
    // Until what went up has run out; then both go on.
    pause(SPAN + LEASE);
    let readings: Vec<_> = new.iter().map(Replica::admitted).collect();
    pause(SPAN * 3);
    for (replica, before) in new.iter().zip(readings) {
        assert!(replica.admitted() > before, "both are served");
    }
    new.into_iter().for_each(Replica::kill);
    upstream.assert_bound();
}

#[test]
fn who_replaces_one_that_is_cut_off_gets_no_second_share() {
    let redis = Redis::start();
    let wire = Wire::to(redis.socket());
    let upstream = Arc::new(Upstream::default());
    let (one, cut_off) = (Replica::start(&redis.url()), Replica::start(&wire.url()));
    for replica in [&one, &cut_off] {
        replica.await_seat();
        replica.drive(20, &upstream);
    }
    wire.set_cut(true);
    let replacement = Replica::start(&redis.url());
    replacement.drive(20, &upstream);
    pause(SPAN * 3 + LEASE);
    let before = upstream.count();
    pause(SPAN * 2);
    let count = upstream.count() - before;
    assert!(
        count > usize::try_from(LIMIT).unwrap(),
        "all three are served: {count}"
    );
    [one, cut_off, replacement].into_iter().for_each(Replica::kill);
    upstream.assert_bound();
}

#[test]
fn five_replicas_for_two_are_noticed_and_three_of_them_send_nothing_without_redis() {
    let traffic = Arc::new(Traffic::default());
    let upstream = traffic.upstream();
    let mut redis = Redis::start();
    let gateways: Vec<_> = (0..5).map(|_| gateway(&upstream, &redis)).collect();
    for gateway in &gateways {
        gateway.expect_metric(r#"envgate_budget_replicas{budget="default"}"#, 5.0);
        gateway.expect_log("more replicas spend the budget than quota.replicas says");
        gateway.expect_metric(r#"envgate_budget_replicas_expected{budget="default"}"#, 2.0);
        let why = "degraded: 5 replicas spend the budget default, quota.replicas is 2";
        assert_eq!(gateway.readiness(), (200, why.to_owned()));
    }
    let seats = gateways
        .iter()
        .map(|gateway| gateway.metric(r#"envgate_budget_seat{budget="default"}"#));
    let (seated, surplus): (Vec<_>, Vec<_>) = gateways.iter().zip(seats).partition(|(_, seat)| *seat == 1.0);
    assert_eq!((seated.len(), surplus.len()), (2, 3));

    redis.kill();
    for (gateway, _) in surplus {
        eventually("nothing goes up", || {
            gateway.metric(r#"envgate_budget_stopped{budget="default"}"#) == 1.0
        });
        let (status, why) = gateway.readiness();
        assert_eq!(status, 503);
        assert!(why.contains("nothing goes up"), "{why}");
        gateway.expect_log("nothing goes up before Redis answers");
        gateway
            .get("/v1/environments/env_1")
            .expect_error(429, "rate_limit_error");
    }
    for (gateway, _) in seated {
        gateway.expect_metric(r#"envgate_budget_stopped{budget="default"}"#, 0.0);
        assert_eq!(gateway.admin_get("/readyz").status, 200);
    }
}

#[test]
fn a_redis_cluster_is_said_to_be_unsupported_once() {
    let upstream = Arc::new(Traffic::default()).upstream();
    let redis = Redis::start_with(&["--cluster-enabled", "yes"]);
    let settings = format!("[quota]\nreplicas = 2\nredis = \"{}\"\n", redis.url());
    let setup = Setup::new().upstream(upstream.address).file(&settings);
    let mut started = setup.command(&["serve"]);
    let log = setup.path().join("cluster.log");
    started.stderr(std::fs::File::create(&log).unwrap());
    let mut child = started.spawn().unwrap();
    let read = || std::fs::read_to_string(&log).unwrap();
    eventually("it is said", || {
        read().contains("runs as a cluster, which is not supported")
    });
    pause(SPAN * 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(read().matches("not supported").count(), 1, "{}", read());
}
