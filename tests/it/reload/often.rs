//! Any number of reloads leave nothing behind.

use super::{apply, in_front_of, reload, write};
use crate::common::client::{Connection, Request};
use crate::common::envgate::Envgate;
use crate::common::upstream::{Then, Upstream};

/// What a process has, as the system sees it.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    bytes: usize,
    descriptors: usize,
    threads: usize,
}

fn footprint(envgate: &Envgate) -> Footprint {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/{}/{what}", envgate.pid()))
            .unwrap()
            .count()
    };
    Footprint {
        bytes: envgate.resident_bytes(),
        descriptors: count("fd"),
        threads: count("task"),
    }
}

/// Reloads so often, each time to something else, with a request in between now and then.
fn churn(envgate: &Envgate, rounds: usize) {
    let mut admin = Connection::open(envgate.admin);
    let mut client = Connection::open(envgate.gateway);
    let post = Request::new(envgate.admin, "POST", "/api/v1/reload")
        .header("authorization", &format!("Bearer {}", super::TOKEN))
        .bytes();
    let get = envgate
        .request("GET", "/v1/environments/env_1")
        .header("cache-control", "no-store")
        .bytes();
    for round in 0..rounds {
        let (number, limit) = (round % 7, 100 + round % 13);
        write(
            envgate,
            &format!(
                "cache.ttl = \"{}s\"\nupstream.workspace_id = \"wrkspc_{number}\"\n\
                 [budgets.default]\nrequests_per_minute = {}\n\
                 [budgets.b{number}]\nrequests_per_minute = {limit}\n\
                 [credentials.c]\nkey = {{ file = \"key{number}\" }}\nbudget = \"b{number}\"\n\
                 [plans.p{number}]\ncredential = \"c\"\nrequests_per_minute = {limit}\n",
                1 + round % 3,
                1_000_000 - round % 13,
            ),
        );
        admin.write(&post);
        let answer = admin.read_response();
        assert_eq!(answer.status, 200, "{}", answer.text());
        if round % 10 == 0 {
            client.write(&get);
            assert_eq!(client.read_response().status, 200);
        }
    }
}

#[test]
fn ten_thousand_reloads_leave_no_memory_thread_or_descriptor_behind() {
    let upstream = Upstream::always(Then::environment());
    let setup = in_front_of(&upstream, "").set("ENVGATE_LOG__LEVEL", "warn");
    for number in 0..7 {
        std::fs::write(
            setup.path().join(format!("key{number}")),
            format!("sk-ant-{number}"),
        )
        .unwrap();
    }
    let envgate = setup.start();
    churn(&envgate, 1000);
    let before = footprint(&envgate);
    churn(&envgate, 9000);
    let after = footprint(&envgate);
    // One configuration takes some kilobytes: nine thousand of them would be far more than this.
    let grown = after.bytes.saturating_sub(before.bytes);
    assert!(grown < 8 << 20, "{before:?} {after:?}");
    assert!(
        after.descriptors <= before.descriptors + 8,
        "{before:?} {after:?}"
    );
    // Blocking threads come and go with what they are used for.
    assert!(after.threads <= before.threads + 4, "{before:?} {after:?}");
    let metrics = envgate.admin_get("/metrics").text();
    let budgets = metrics
        .lines()
        .filter(|line| line.starts_with("envgate_budget_admitted_total{"))
        .count();
    assert!(budgets <= 3, "those that are gone are told of no more: {budgets}");
}

#[test]
fn reloads_that_are_asked_for_at_once_are_done_one_after_the_other() {
    let upstream = Upstream::always(Then::environment());
    let envgate = in_front_of(&upstream, "").start();
    write(&envgate, "upstream.timeout = \"5s\"\n");
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|number| {
                let envgate = &envgate;
                scope.spawn(move || {
                    if number % 5 == 0 {
                        envgate.signal("HUP");
                    }
                    reload(envgate)
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    for answer in &outcomes {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    envgate.expect_metric(super::APPLIED, 1.0);
    apply(&envgate, "upstream.timeout = \"6s\"\n");
}
