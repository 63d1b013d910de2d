use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::common::client::Connection;
use crate::stopping;

/// Writes again and again on kept connections, each opened anew when it was told that it ends. Any failure ends it.
fn write_on(gateway: SocketAddr, key: &str, number: usize, is_over: &AtomicBool, done: &AtomicUsize) {
    let mut connection = None::<Connection>;
    for count in 0.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let path = format!("/v1/environments/env_{number}_{count}/archive");
        let request = Request::new(gateway, "POST", &path).header("authorization", &format!("Bearer {key}"));
        let mut asking = connection.take().unwrap_or_else(|| Connection::open(gateway));
        asking.write(&request.bytes());
        let response = asking.read_response();
        assert_eq!(response.status, 200, "{}", response.text());
        done.fetch_add(1, Ordering::Relaxed);
        if response.header("connection") != Some("close") {
            connection = Some(asking);
        }
        pause(Duration::from_millis(5));
    }
}

#[test]
fn three_upgrades_under_a_stream_of_requests_lose_none_and_all_are_in_the_audit() {
    let house = House::new();
    let mut process = house.start();
    let (gateway, admin) = (process.gateway, process.admin);
    let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|number| {
            let (key, is_over, done) = (house.key.clone(), Arc::clone(&is_over), Arc::clone(&done));
            thread::spawn(move || write_on(gateway, &key, number, &is_over, &done))
        })
        .collect();
    let asked = Arc::clone(&is_over);
    let asking = thread::spawn(move || {
        while !asked.load(Ordering::Relaxed) {
            let status = Request::new(admin, "GET", "/readyz").send().status;
            assert_eq!(status, 200, "the admin address answers for whoever serves");
            pause(Duration::from_millis(5));
        }
    });
    for _ in 0..3 {
        let before = done.load(Ordering::Relaxed);
        let next = house.start();
        assert_eq!((next.gateway, next.admin), (gateway, admin));
        assert_eq!(process.wait(), Some(0), "{}", process.log());
        assert!(
            process.log().lines().last().unwrap().ends_with(" stopped"),
            "{}",
            process.log()
        );
        process = next;
        let deadline = Instant::now() + PATIENCE;
        while done.load(Ordering::Relaxed) < before + 50 {
            assert!(Instant::now() < deadline, "the next process answers");
            pause(Duration::from_millis(10));
        }
    }
    is_over.store(true, Ordering::Relaxed);
    for thread in writers.into_iter().chain([asking]) {
        thread.join().unwrap();
    }
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0), "{}", process.log());
    let records = stopping::read(&format!(
        "sqlite:{}",
        house.setup.path().join("envgate.db").display()
    ));
    let done = done.load(Ordering::Relaxed);
    // The test's look at the audit is no longer than what it gives at once.
    assert!(done < usize::from(u16::MAX));
    // Those who were let in are in it too.
    let writes = records
        .iter()
        .filter(|record| record.operation == "archive")
        .count();
    assert_eq!(writes, done);
}

#[test]
fn an_address_that_has_changed_is_bound_anew_and_the_other_is_taken_over() {
    let house = House::new();
    let mut old = house.start();
    let (mut command, log) = house.command();
    command.env("ENVGATE_LISTEN__ADDRESS", "127.0.0.2:0");
    let new = Process::start(command, log);
    new.wait_until_serving();
    assert_eq!(old.wait(), Some(0));
    assert_ne!(new.gateway, old.gateway);
    assert_eq!(new.admin, old.admin);
    assert_eq!(house.ask(new.gateway), 200);
    assert!(std::net::TcpStream::connect(old.gateway).is_err());
}

#[test]
fn what_is_in_flight_in_the_process_before_is_answered_by_it() {
    let gate = crate::common::upstream::Gate::default();
    let slow = Upstream::always(Then::environment().behind(&gate));
    let house = House::with(|setup| setup.upstream(slow.address));
    let mut old = house.start();
    let mut busy = Connection::open(old.gateway);
    let request = Request::new(old.gateway, "GET", "/v1/environments/env_1");
    busy.write(&request.header("x-api-key", &house.key).bytes());
    crate::common::envgate::eventually("the upstream was asked", || slow.seen().len() == 1);
    let new = house.start();
    old.expect_log("another process serves");
    gate.open();
    let answer = busy.read_response();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(old.wait(), Some(0));
    assert_eq!(house.ask(new.gateway), 200);
}
