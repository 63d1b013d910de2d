//! Two gateways, each a process of its own, on one Redis and before one upstream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::drive_time;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, Setup, eventually, pause};
use crate::common::upstream::{Then, Upstream};
use envgate_test_servers::redis::Redis;

const WINDOW: Duration = Duration::from_secs(2);
/// `upstream.timeout`; with a second on top a place is free again.
const TIMEOUT: Duration = Duration::from_secs(1);
const LIMIT: usize = 30;
const PLACES: u32 = 5;
/// Between the sending of a request and its arrival; two may differ by so much.
const ON_THE_WAY: Duration = Duration::from_millis(250);

/// When requests came, and how many were there at once.
#[derive(Default)]
pub(super) struct Traffic {
    came: Mutex<Vec<Instant>>,
    in_flight: AtomicU32,
    most_in_flight: AtomicU32,
}

impl Traffic {
    pub(super) fn upstream(self: &Arc<Self>) -> Upstream {
        let traffic = Arc::clone(self);
        Upstream::start(move |number, _| {
            traffic.came.lock().push(Instant::now());
            let in_flight = traffic.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
            traffic.most_in_flight.fetch_max(in_flight, Ordering::SeqCst);
            pause(Duration::from_millis(u64::try_from(number % 7 * 30).unwrap()));
            traffic.in_flight.fetch_sub(1, Ordering::SeqCst);
            Then::environment()
        })
    }

    pub(super) fn count(&self) -> usize {
        self.came.lock().len()
    }

    fn assert_bound(&self) {
        let mut came = self.came.lock().clone();
        came.sort_unstable();
        for (first, one_too_many) in came.iter().zip(came.iter().skip(LIMIT)) {
            let stretch = *one_too_many - *first;
            assert!(
                stretch + ON_THE_WAY >= WINDOW,
                "{} requests in {stretch:?}",
                LIMIT + 1
            );
        }
        let most = self.most_in_flight.load(Ordering::SeqCst);
        assert!(most <= PLACES, "{most} in flight");
    }
}

pub(super) fn gateway(upstream: &Upstream, redis: &Redis) -> Envgate {
    let settings = format!(
        "[budgets.default]\nrequests_per_minute = {LIMIT}\nconcurrent_requests = {PLACES}\n\
         [quota]\nreplicas = 2\nredis = \"{}\"\nwindow = \"{}s\"\n",
        redis.url(),
        WINDOW.as_secs()
    );
    Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__TIMEOUT", &format!("{}s", TIMEOUT.as_secs()))
        .file(&settings)
        .start()
}

/// Clients that ask a gateway without end, as long as it lives and `is_over` is not set.
fn drive<'scope, 'env>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    envgate: &Envgate,
    is_over: &'scope AtomicBool,
) {
    for _ in 0..12 {
        let request = Request::new(envgate.gateway, "GET", "/v1/environments/env_1")
            .header("x-api-key", &envgate.key)
            .header("cache-control", "no-store");
        let address = envgate.gateway;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                // A gateway that was killed ends its clients.
                let Ok(mut connection) = Connection::try_open(address) else {
                    return;
                };
                while !is_over.load(Ordering::Relaxed) {
                    connection.write(&request.bytes());
                    match connection.read_any_response() {
                        Some(answer) if answer.status == 200 => {}
                        Some(answer) => {
                            assert_eq!(answer.status, 429, "{}", answer.text());
                            pause(Duration::from_millis(50));
                        }
                        None => break,
                    }
                }
            }
        });
    }
}

fn is_served_again(traffic: &Traffic) {
    let before = traffic.count();
    eventually("requests go up again", || traffic.count() > before);
}

#[test]
fn two_gateways_together_are_never_over_the_budget_whatever_is_killed() {
    let traffic = Arc::new(Traffic::default());
    let upstream = traffic.upstream();
    let mut redis = Redis::start();
    let one = gateway(&upstream, &redis);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        drive(scope, &one, &is_over);
        let rounds = drive_time().as_secs().div_ceil(20);
        for _ in 0..rounds {
            let two = gateway(&upstream, &redis);
            drive(scope, &two, &is_over);
            is_served_again(&traffic);
            pause(WINDOW * 2);

            // Mid-flight, and without a word.
            two.signal("KILL");
            is_served_again(&traffic);
            pause(WINDOW);
            drop(two);

            redis.kill();
            is_served_again(&traffic);
            let (status, why) = one.readiness();
            assert_eq!(status, 200);
            assert!(why.contains("degraded: Redis does not answer"), "{why}");
            one.expect_metric(r#"envgate_budget_redis_up{budget="default"}"#, 0.0);
            pause(WINDOW);

            redis.start_again();
            one.expect_metric(r#"envgate_budget_redis_up{budget="default"}"#, 1.0);
            is_served_again(&traffic);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    traffic.assert_bound();
    one.expect_metric(r#"envgate_budget_in_flight{budget="default"}"#, 0.0);
}
